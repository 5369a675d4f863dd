-- Figures, tables, cross-references and formulas of the joined chapters, for HTML and Typst alike.
--
-- The exporter writes a figure or a table as a labelled div: first the picture or the table's HTML, then the caption.
-- Numbers are given here, in the order of the document; Typst counts the same way, and a test compares both.

local typst = FORMAT:match("typst") ~= nil
local tables_folder
local kinds = { fig = "Figure", tbl = "Table" }
local counts = { Figure = 0, Table = 0 }
local labels = {}
local registered, cited = {}, {}
local wordy_length = 32
local many_columns = 12

local function fail(message, ...)
  io.stderr:write(message:format(...), "\n")
  os.exit(1)
end

local function quoted(text)
  return '"' .. text:gsub('[\\"]', "\\%0"):gsub("%s+", " ") .. '"'
end

local function register(label)
  if labels[label] then fail("the label #%s is given twice", label) end
  local kind = kinds[label:match("^%a+")]
  counts[kind] = counts[kind] + 1
  labels[label] = kind .. "\u{a0}" .. counts[kind]
  table.insert(registered, label)
end

-- Typst writes "Figure 1." itself.
local function caption_of(div)
  local caption = div.content[2].content
  if not typst then
    caption = pandoc.Inlines({ pandoc.Strong(labels[div.identifier] .. "."), pandoc.Space() }) .. caption
  end
  return pandoc.Plain(caption)
end

-- Figures ------------------------------------------------------------------------------------------------------------

-- In a title block, pandoc puts a picture that stands alone into a figure.
local function image_in(block)
  local found
  block:walk({ Image = function(image) found = image end })
  return found
end

local function picture(div)
  local image = image_in(div.content[1])
  local alt = pandoc.utils.stringify(image.caption)
  if typst then
    local form = "#image(%s, width: %s, alt: %s)"
    return pandoc.RawBlock("typst", form:format(quoted(image.src), div.attributes.width, quoted(alt)))
  end
  image.attributes.width = div.attributes.width
  return pandoc.Plain(image)
end

local function figure(div)
  return pandoc.Figure({ picture(div) }, { caption_of(div) }, pandoc.Attr(div.identifier, { "picture" }))
end

-- The first page repeats a figure, which keeps its number.
local function key_figure(div)
  return pandoc.Div({ picture(div), div.content[2] }, pandoc.Attr("", { "key" }))
end

-- Tables -------------------------------------------------------------------------------------------------------------

local function text_of(cell)
  return pandoc.utils.stringify(cell.contents)
end

local function is_blank(text)
  return text == "" or text == "n/a" or text == "—" or text == "–" or text:lower() == "nan" or text == "None"
end

local function is_number(text)
  return text:gsub("−", "-"):match("^[-+<>]?%s?%.?%d") ~= nil
end

local function each_cell(rows, act)
  for _, row in ipairs(rows) do
    row.attr = pandoc.Attr()
    for column, cell in ipairs(row.cells) do act(cell, column) end
  end
end

-- Right if every cell that is not blank is a number, else left.
local function align(rows, colspecs)
  local numbers, words = {}, {}
  each_cell(rows, function(cell, column)
    local text = text_of(cell)
    if not is_blank(text) then (is_number(text) and numbers or words)[column] = true end
  end)
  for column, spec in ipairs(colspecs) do
    spec[1] = (numbers[column] and not words[column]) and pandoc.AlignRight or pandoc.AlignLeft
  end
end

local typst_names = {
  ["background-color"] = { "typst:fill", "rgb(%q)" },
  ["color"] = { "typst:text:fill", "rgb(%q)" },
  ["font-weight"] = { "typst:text:weight", "%q" },
  ["font-style"] = { "typst:text:style", "%q" },
}

local function style_for_typst(cell)
  for property, value in (cell.attributes.style or ""):gmatch("([%a-]+):%s*([^;]+)") do
    local name = typst_names[property]
    if name then cell.attributes[name[1]] = name[2]:format(value) end
  end
end

local function minus(str)
  return pandoc.Str((str.text:gsub("^([(*]?)%-(%.?%d)", "%1−%2")))
end

local function dress(cell)
  local text = text_of(cell)
  cell.alignment = cell.col_span > 1 and pandoc.AlignCenter or pandoc.AlignDefault
  if is_number(text) then cell.contents = cell.contents:walk({ Str = minus }) end
  local wordy = pandoc.text.len(text) > wordy_length and text:find(" ")
  if typst then
    style_for_typst(cell)
    if wordy then cell.contents = { pandoc.Div(cell.contents, { ["typst:width"] = "15em" }) } end
  elseif wordy then
    cell.classes:insert("wordy")
  end
end

local function dress_head(cell)
  dress(cell)
  if typst then cell.attributes["typst:text:weight"] = '"semibold"' end
end

local function native_table(html)
  local native = pandoc.read(html, "html+tex_math_dollars").blocks[1]
  local body, colspecs = native.bodies[1].body, native.colspecs
  align(body, colspecs)
  native.colspecs = colspecs
  each_cell(native.head.rows, dress_head)
  each_cell(body, dress)
  return native
end

local link_to_data = '<p class="data"><a href="%s/%s.csv">CSV<span class="hidden"> of %s</span></a></p>'

local function scrolling(native, div)
  local opening = '<figure id="%s" class="table">\n<figcaption id="%s-caption">'
  local region = { { "tabindex", "0" }, { "role", "region" }, { "aria-labelledby", div.identifier .. "-caption" } }
  local classes = #native.colspecs > many_columns and { "scroll", "many" } or { "scroll" }
  return {
    pandoc.RawBlock("html", opening:format(div.identifier, div.identifier)),
    caption_of(div),
    pandoc.RawBlock("html", "</figcaption>"),
    pandoc.Div({ native }, pandoc.Attr("", classes, region)),
    pandoc.RawBlock("html", link_to_data:format(tables_folder, div.identifier:sub(5), labels[div.identifier])),
    pandoc.RawBlock("html", "</figure>"),
  }
end

local function report_table(div)
  local native = native_table(div.content[1].text)
  if not typst then return scrolling(native, div) end
  native.caption.long = { caption_of(div) }
  native.identifier = div.identifier
  return native
end

-- Citations of figures and tables, in the text alone: one in a caption does not count ---------------------------------

local function outside_captions(element)
  for _, class in ipairs({ "report-figure", "report-table", "key-figure" }) do
    if element.classes:includes(class) then return element, false end
  end
end

local function cite(element)
  local label = element.target:match("^#(.+)")
  if label then cited[label] = true end
end

local function all_cited()
  local left = {}
  for _, label in ipairs(registered) do
    if not cited[label] then table.insert(left, "#" .. label) end
  end
  if #left > 0 then fail("no sentence of the text refers to %s", table.concat(left, ", ")) end
end

-- The rest -----------------------------------------------------------------------------------------------------------

-- The code of a cell, for the HTML alone.
local function folded(element)
  if typst then return {} end
  return {
    pandoc.RawBlock("html", "<details><summary>Code</summary>"),
    element.content[1],
    pandoc.RawBlock("html", "</details>"),
  }
end

local function div(element)
  if element.classes:includes("folded") then return folded(element) end
  if element.classes:includes("report-figure") or element.classes:includes("report-table") then
    register(element.identifier)
    return (element.classes:includes("report-figure") and figure or report_table)(element)
  end
  if element.classes:includes("key-figure") then return key_figure(element) end
  if typst and element.classes:includes("problems") then
    return { pandoc.RawBlock("typst", "#problems["), element, pandoc.RawBlock("typst", "]") }
  end
end

local function remember(element)
  if element.identifier ~= "" then labels[element.identifier] = labels[element.identifier] or "" end
end

local function link(element)
  local label = element.target:match("^#(.+)")
  if not label then return end
  if not labels[label] then fail("unknown label #%s: nothing in the report carries it", label) end
  local text = pandoc.utils.stringify(element.content)
  if text == "Figure" or text == "Table" then
    element.content = { pandoc.Str(labels[label]) }
    return element
  end
end

local function image(element)
  if pandoc.utils.stringify(element.caption) == "" then fail("the picture %s has no alt text", element.src) end
end

-- Pandoc does not recognise an unclosed formula and would print its source.
local function text(element)
  if element.text:find("%$") and element.text:find("\\%a") then fail("not a formula: %s", element.text) end
  return minus(element)
end

-- PDF/UA requires an alternative text for each formula: its TeX source.
local function math(element)
  if not typst then return end
  local opening = "#[#set math.equation(alt: %s);"
  return { pandoc.RawInline("typst", opening:format(quoted(element.text))), element, pandoc.RawInline("typst", "];") }
end

-- At this point, all raw HTML on the way to Typst is the chapters' own.
local function raw(element)
  if typst and element.format == "html" and not element.text:match("^%s*<!%-%-") then
    fail("raw HTML in the prose is lost in the PDF, write Markdown instead: %s", element.text)
  end
end

return {
  { Meta = function(meta) tables_folder = pandoc.utils.stringify(meta.tables) end },
  { traverse = "topdown", Div = outside_captions, Link = cite },
  { Image = image },
  { Div = div },
  { Header = remember, Div = remember, Span = remember, CodeBlock = remember },
  { Link = link, Str = text, Math = math, RawInline = raw, RawBlock = raw },
  { Pandoc = all_cited },
}
