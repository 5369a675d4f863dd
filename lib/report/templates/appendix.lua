-- Details behind the chapters: a section with an empty div `detail` before its heading moves into an appendix of its
-- chapter, and a line with links takes its place. The appendices begin at the empty div `appendices`.

local typst = FORMAT:match("typst") ~= nil

local function is_marker(block, class)
  return block.t == "Div" and block.classes:includes(class)
end

local function link_to(header)
  return pandoc.Link(header.content, "#" .. header.identifier)
end

-- Return the blocks that stay, and the appendix of each chapter that has one, in order.
local function divided(blocks)
  local kept, appendices, chapter, appendix, pointer = pandoc.Blocks({}), {}, nil, nil, nil
  local moving = false
  for place, block in ipairs(blocks) do
    if block.t == "Header" and block.level == 1 then chapter, appendix, moving = block, nil, false end
    if block.t == "Header" and block.level == 2 and not is_marker(blocks[place - 1], "detail") then moving = false end
    if is_marker(block, "appendices") then moving = false end
    if is_marker(block, "detail") then
      moving = true
      if not appendix then
        local title = chapter.content .. pandoc.Inlines(": details")
        appendix = pandoc.Blocks({ pandoc.Header(1, title, pandoc.Attr(chapter.identifier .. "-details")) })
        table.insert(appendices, appendix)
        pointer = pandoc.Para("In the appendix:")
        kept:insert(pointer)
      end
      local separator = #pointer.content > 4 and { pandoc.Str(","), pandoc.Space() } or { pandoc.Space() }
      pointer.content:extend(separator)
      pointer.content:insert(link_to(blocks[place + 1]))
    else
      (moving and appendix or kept):insert(block)
    end
  end
  return kept, appendices
end

-- Appendices are lettered: A, A.1, B. Typst counts itself. Unnumbered headings do not count.
local function letter(blocks)
  local counts, lettered = { 0, 0, 0, 0, 0, 0 }, false
  for place, block in ipairs(blocks) do
    if is_marker(block, "appendices") then
      lettered = true
      local restart = pandoc.RawBlock("typst", '#counter(heading).update(0)\n#set heading(numbering: "A.1")')
      blocks[place] = typst and restart or block
    elseif block.t == "Header" and lettered then
      counts[block.level] = counts[block.level] + 1
      for level = block.level + 1, 6 do counts[level] = 0 end
      local numbers = { string.char(64 + counts[1]) }
      for level = 2, block.level do numbers[level] = tostring(counts[level]) end
      block.attributes.number = table.concat(numbers, ".")
    end
  end
end

function Pandoc(document)
  local kept, appendices = divided(document.blocks)
  local all = pandoc.Blocks({})
  for _, block in ipairs(kept) do
    all:insert(block)
    if is_marker(block, "appendices") then
      for _, appendix in ipairs(appendices) do all:extend(appendix) end
    end
  end
  letter(all)
  document.blocks = all
  return document
end
