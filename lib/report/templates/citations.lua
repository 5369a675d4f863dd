-- Citations: commonmark has none, so that [@he2016] and [@he2016; @lu2019] arrive as text.

local function citation(id)
  return pandoc.Citation(id, "NormalCitation")
end

-- Return the text from a place on up to the next closing bracket, and the place of its end.
local function bracketed(inlines, place)
  local text = inlines[place].text
  while not text:find("]", 1, true) and inlines[place + 1] do
    place = place + 1
    text = text .. (inlines[place].text or " ")
  end
  return text, place
end

function Inlines(inlines)
  local found, place = pandoc.Inlines({}), 1
  while place <= #inlines do
    local element = inlines[place]
    if element.t == "Str" and element.text:find("[@", 1, true) then
      local text, last = bracketed(inlines, place)
      local before, keys, after = text:match("^(.-)%[(@[%w@; ]+)%](.*)$")
      if not keys then
        io.stderr:write("not a citation: ", text, "\n")
        os.exit(1)
      end
      local citations = pandoc.List()
      for key in keys:gmatch("@(%w+)") do citations:insert(citation(key)) end
      if before ~= "" then found:insert(pandoc.Str(before)) end
      found:insert(pandoc.Cite({ pandoc.Str("[" .. keys .. "]") }, citations))
      inlines[last], place = pandoc.Str(after), last
      if after == "" then place = last + 1 end
    else
      found:insert(element)
      place = place + 1
    end
  end
  return found
end
