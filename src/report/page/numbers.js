// Evaluations and settings: tables, a chart of layers, and what was taken for what.
const percent = (x) => (Number.isFinite(x) ? x.toFixed(2) : "–");

// Rows of one evaluation: what, how, top-1, top-5, images.
function evaluationRows(run, [name, result]) {
  const share = result.labels_fraction ? `, ${figure(100 * result.labels_fraction)} % of the labels` : "";
  const row = (what, how, score) => [run.name, what, how + share, percent(score.top1), percent(score.top5), figure(result.images), figure(result.step)];
  switch (result.protocol) {
    case "knn": return (result.results || []).map((score) => row("kNN", `k ${score.k}, T ${score.temperature}`, score));
    case "linear": return [row("linear probe", `recipe ${result.recipe}, lr ${result.lr}`, result)];
    case "finetune": return [row("fine-tuned", `${result.epochs} epochs, lr ${figure(result.lr)}`, result)];
    case "layers": return (result.layers || []).map((layer) => row(`linear probe of ${layer.layer}`, `recipe ${result.recipe}`, layer));
    default: return [row(name, "", result)];
  }
}

function layerChart(runs) {
  const probed = runs.flatMap((run, at) => run.evaluations.filter(([, result]) => result.protocol === "layers").map(([, result]) => [run, at, result]));
  if (!probed.length) return null;
  const most = probed.reduce((a, b) => (b[2].layers.length > a[2].layers.length ? b : a))[2];
  const names = most.layers.map(({ layer }) => layer);
  const lines = probed.map(([run, at, { layers }]) => ({
    run: at, name: run.name, x: names.map((_, place) => place),
    y: names.map((name) => (layers.find(({ layer }) => layer === name) || {}).top1 ?? null),
  }));
  return { title: "Linear probes, layer by layer", unit: "top-1 accuracy (%)", lines, names };
}

// Right class down, class told across; a cell is darker the larger its share of its row.
function confusion(result) {
  const classes = result.class_names || [], cells = result.confusion || [], n = classes.length;
  if (!cells.length || !n) return null;
  const totals = new Map();
  for (const [label, , count] of cells) totals.set(label, (totals.get(label) || 0) + count);
  const wrong = cells.filter(([label, told]) => label !== told).sort((a, b) => b[2] - a[2]).slice(0, 10);
  const most = wrong.map(([label, told, count]) => [classes[label], classes[told], `${count} of ${totals.get(label)}`]);
  const pairs = most.length ? [element("h3", {}, "Most often taken for another"), table(["class", "told", "images"], most, [2])] : [];
  return element("div", { class: "cards" },
    n <= 60 ? element("div", { class: "panel matrix" }, matrix(classes, cells, totals)) : null,
    element("div", { class: "panel" }, pairs));
}

function matrix(classes, cells, totals) {
  const n = classes.length, side = 400 / n, room = 80;
  const readout = element("output", { class: "readout" }, "a row a class, a column the class told");
  const frame = drawn("svg", { viewBox: `0 0 ${room + 404} ${(n <= 24 ? room : 4) + 404}`, role: "img", "aria-label": "Confusion matrix" });
  const short = (name) => (name.length > 11 ? `${name.slice(0, 10)}…` : name);
  frame.append(drawn("rect", { x: room, y: 0, width: 400, height: 400, style: "fill: none; stroke: var(--line)" }));
  for (const [label, told, count] of cells) {
    const share = count / totals.get(label);
    const cell = drawn("rect", { x: room + told * side, y: label * side, width: side, height: side, "fill-opacity": (0.08 + 0.92 * share).toFixed(3) });
    cell.addEventListener("pointerenter", () => readout.replaceChildren(
      element("b", {}, classes[label]), " told as ", element("b", {}, classes[told]), `: ${count} of ${totals.get(label)} (${(100 * share).toFixed(1)} %)`));
    frame.append(cell);
  }
  if (n <= 24) classes.forEach((name, at) => {
    const middle = (at + 0.5) * side;
    frame.append(drawn("text", { x: room - 6, y: middle + 4, "text-anchor": "end" }, short(name)));
    frame.append(drawn("text", { x: 0, y: 0, transform: `translate(${room + middle + 4} 408) rotate(-90)`, "text-anchor": "end" }, short(name)));
  });
  return [element("h3", {}, "What was taken for what"), readout, frame];
}

// `section.key` of every value.
function flat(settings) {
  return Object.entries(settings).flatMap(([section, values]) =>
    Object.entries(values).map(([name, value]) => [`${section}.${name}`, written(value)]));
}

function written(value) {
  if (Array.isArray(value)) return value.map(written).join(", ");
  if (value !== null && typeof value === "object") return JSON.stringify(value);
  return typeof value === "string" ? value || "–" : String(value);
}

function differences(runs) {
  const values = runs.map((run) => new Map(flat(run.settings)));
  const names = [...new Set(values.flatMap((map) => [...map.keys()]))];
  const differing = names.filter((name) => new Set(values.map((map) => map.get(name))).size > 1);
  if (!differing.length) return element("p", {}, "All settings of these runs are the same.");
  const rows = differing.map((name) => [element("code", {}, name), ...values.map((map) => map.get(name) ?? "–")]);
  return table(["setting", ...runs.map((run, at) => element("span", {}, key(runColor(at)), run.name))], rows);
}

function settingsOf(run) {
  return element("div", { class: "settings" }, Object.entries(run.settings).map(([section, values]) =>
    element("section", {}, element("h3", {}, section), facts(Object.entries(values).map(([name, value]) => [name, written(value)])))));
}
