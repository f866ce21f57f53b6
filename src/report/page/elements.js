// Elements: text stays text, whatever is in it.
function element(name, properties, ...children) {
  const made = document.createElement(name);
  return furnished(made, properties, children);
}

function drawn(name, properties, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  return furnished(made, properties, children);
}

function furnished(made, properties, children) {
  for (const [name, value] of Object.entries(properties || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "color") made.style.setProperty("--color", value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return made;
}

// A number as it reads best: 4 figures, thousands apart, small ones by a power of ten.
function figure(x) {
  if (x === null || x === undefined || !Number.isFinite(x)) return "–";
  const size = Math.abs(x);
  if (size !== 0 && (size < 1e-3 || size >= 1e9)) return x.toExponential(2).replace("+", "");
  if (size >= 1000) return Math.round(x).toLocaleString("en");
  return String(Number(x.toPrecision(4)));
}

// A run's colour; after seven they come again.
const runColor = (run) => `var(--s${run % 7})`;

// A class's: ten that are told apart, then as many as are asked for around the circle.
function classColor(label) {
  if (label === null) return "var(--soft)";
  if (label < 7) return `var(--s${label})`;
  if (label < 10) return `var(--c${label})`;
  return `hsl(${(label * 137.508) % 360} 62% 52%)`;
}

const key = (color) => element("span", { class: "key", color, "aria-hidden": "true" });

// A button that is on or off; `changed(on)`.
function toggle(label, color, changed) {
  const button = element("button", { type: "button", "aria-pressed": "true" }, color && key(color), label);
  button.addEventListener("click", () => {
    const on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", on);
    changed(on);
  });
  return button;
}

// Buttons of which one is on; nothing where there is no choice.
function choice(labels, name, chosen) {
  if (labels.length < 2) return null;
  const buttons = labels.map((label, at) =>
    element("button", { type: "button", "aria-pressed": String(at === 0), onclick: () => pick(at) }, label));
  function pick(at) {
    buttons.forEach((button, other) => button.setAttribute("aria-pressed", other === at));
    chosen(at);
  }
  return element("div", { class: "toggles choice", role: "group", "aria-label": name }, buttons);
}

function facts(pairs) {
  const known = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return element("dl", { class: "facts" },
    known.map(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
}

function table(head, rows, numbers = []) {
  const side = (at) => (numbers.includes(at) ? "number" : null);
  const cell = (value, at) => element(at === 0 ? "th" : "td", { class: side(at), scope: at === 0 ? "row" : null }, value);
  return element("div", { class: "scroll" }, element("table", {},
    element("thead", {}, element("tr", {}, head.map((name, at) => element("th", { scope: "col", class: side(at) }, name)))),
    element("tbody", {}, rows.map((row) => element("tr", {}, row.map(cell))))));
}

// A part of the page, named so that it can be linked to.
const part = (id, title, ...children) => element("section", { id }, element("h2", {}, title), children);
