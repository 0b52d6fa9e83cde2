// Texts of models and data sets are only ever put on the page as text nodes.
function element(tag, options, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(options || {})) {
    if (name === "class") node.className = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

const count = (value) => value.toLocaleString("en");
const figure = (value) => (value === null || value === undefined ? "none" : Number.isInteger(value) ? String(value) : value.toFixed(2));

// The text with matches of the search marked.
function marked(whole, query) {
  const out = document.createDocumentFragment();
  const low = whole.toLowerCase(), wanted = query.toLowerCase();
  let from = 0;
  // Lower case may change the length of a text in rare scripts; then nothing is marked.
  if (wanted && low.length === whole.length) {
    for (let at = low.indexOf(wanted); at >= 0; at = low.indexOf(wanted, from)) {
      out.append(whole.slice(from, at), element("mark", null, whole.slice(at, at + wanted.length)));
      from = at + wanted.length;
    }
  }
  out.append(whole.slice(from));
  return out;
}
