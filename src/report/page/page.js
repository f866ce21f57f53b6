// The page, from top to bottom.
const report = JSON.parse(document.getElementById("report").textContent);
const { runs, gallery } = report;
const several = runs.length > 1;

// What is known of the numbers that a run logs, in the order they are shown; any other is shown as it is named.
const CURVES = [
  ["loss", "Loss", "mean over the steps since the last line"],
  ["lr", "Learning rate", ""],
  ["images_per_second", "Speed", "images a second"],
  ["wait", "Waiting for images", "share of the time"],
  ["gradient_norm", "Gradient norm", ""],
  ["spread", "Spread of the embeddings", "1: uniform on the sphere, 0: all in one point"],
  ["mean_cosine", "Mean cosine of embeddings", "1: all are the same"],
  ["effective_rank", "Effective rank", "dimensions used"],
  ["usage_entropy", "Entropy of prototype use", "nats; ln K where all are used alike"],
  ["usage_share", "Prototype use", "share of ln K"],
];
const NOT_CURVES = ["epoch", "full_rank"];

const off = new Set(); // runs that are not shown
const charts = [];
const drawAll = () => charts.forEach(({ draw }) => draw());

function added(description) {
  const made = chart({ ...description, shown: (run) => !off.has(run) });
  charts.push(made);
  return made.panel;
}

function overview() {
  const card = (run, at) => {
    const { method, encoder, schedule } = run.settings, { environment, images } = run;
    const losses = (run.curves.values.loss || []).filter(Number.isFinite), knn = run.knn;
    const seen = (which) => which && `${which.top1.toFixed(1)} %`;
    const before = knn.find(({ step }) => step === 0), after = knn.filter(({ step }) => step > 0).pop();
    return element("div", { class: "panel" },
      element("h3", {}, several ? key(runColor(at)) : null, run.name),
      facts([
        ["state", { running: "in progress, or ended without a word", finished: "finished", stopped: "stopped" }[run.state]],
        ["steps", figure(run.step)],
        ["method", method.name], ["network", `${encoder.arch}, ${encoder.image_size} pixels`],
        ["batch", figure(schedule.batch)],
        ["last loss", losses.length ? figure(losses[losses.length - 1]) : null],
        ["kNN", before && after ? `${seen(before)} untrained, ${seen(after)} trained` : before ? `${seen(before)} untrained` : null],
        ["images", images ? `${figure(images.count)} of ${images.roots.join(", ")}` : null],
        ["device", environment ? environment.device : null],
        ["folder", element("code", {}, run.path)],
      ]),
      run.notes.length ? element("ul", { class: "notes" }, run.notes.map((note) => element("li", {}, note))) : null);
  };
  return element("div", { class: "cards" }, runs.map(card));
}

function runToggles() {
  if (!several) return null;
  return element("div", { class: "toggles runs", role: "group", "aria-label": "Runs in the charts" },
    runs.map((run, at) => toggle(run.name, runColor(at), (on) => {
      if (on) off.delete(at); else off.add(at);
      drawAll();
    })));
}

function curves() {
  const logged = new Set(runs.flatMap((run) => Object.keys(run.curves.values)));
  const known = CURVES.filter(([name]) => logged.has(name));
  const others = [...logged].filter((name) => !NOT_CURVES.includes(name) && !CURVES.some(([other]) => other === name));
  const panels = [...known, ...others.map((name) => [name, name, ""])].map(([name, title, unit]) => {
    const lines = runs.flatMap((run, at) => {
      const y = run.curves.values[name];
      return y ? [{ run: at, name: run.name, x: run.curves.steps, y }] : [];
    });
    return added({ title, unit, lines });
  });
  const knn = runs.flatMap((run, at) => (run.knn.length ? [{ run: at, name: run.name, x: run.knn.map(({ step }) => step), y: run.knn.map(({ top1 }) => top1) }] : []));
  if (knn.length) panels.splice(3, 0, added({ title: "kNN accuracy", unit: "top-1 (%), before and after training", lines: knn }));
  const merged = runs.filter((run) => run.curves.merged > 1).map((run) => `${run.name}: ${run.curves.merged}`);
  const note = merged.length ? element("p", { class: "soft small" }, `Points are means of so many lines of the log: ${merged.join(", ")}.`) : null;
  if (!panels.length) return part("curves", "Curves", element("p", { class: "soft" }, "Nothing was logged yet."));
  return part("curves", "Curves", note, element("div", { class: "charts" }, panels));
}

// What one run sees, for the run that is chosen.
function views() {
  if (!gallery) return [];
  const seeing = gallery.looks.map((look, at) => [look, at]).filter(([look]) => look);
  const { album } = gallery, count = album.names.length;
  const whole = count < gallery.of ? `${figure(count)} of the ${figure(gallery.of)} ${gallery.kind}` : `the ${figure(count)} ${gallery.kind}`;
  const ofRun = (make) => {
    const body = element("div", {}, make(seeing[0][0]));
    const pick = (at) => body.replaceChildren(...make(seeing[at][0]).flat(Infinity).filter(Boolean));
    return [choice(seeing.map(([, at]) => runs[at].name), "Run", pick), body];
  };
  const steps = seeing.map(([look, at]) => `${several ? `${runs[at].name}: ` : ""}after step ${figure(look.step)}`).join(", ");
  const parts = [
    part("map", "Map of the embeddings",
      element("p", { class: "soft small" }, `Features of ${whole} (${gallery.specs.join(", ")}), of length 1; ${steps}.`),
      ofRun((look) => embeddingMap(gallery, look))),
    part("neighbours", "Nearest neighbours", ofRun((look) => neighbourGrid(gallery, look))),
  ];
  if (seeing.some(([look]) => look.prototypes)) {
    const none = () => [element("p", { class: "soft" }, "This run has no prototypes: its method is not swav.")];
    parts.push(part("prototypes", "Prototypes", ofRun((look) => (look.prototypes ? prototypeGrid(gallery, look) : none()))));
  }
  return parts;
}

function evaluations() {
  const rows = runs.flatMap((run) => run.evaluations.flatMap((evaluation) => evaluationRows(run, evaluation)));
  if (!rows.length) {
    return part("evaluations", "Evaluations", element("p", { class: "soft" }, "None yet. ",
      element("code", {}, `selfsame eval linear --weights ${runs[0].path} --train DIR --val DIR`), " leaves its result here; so do eval knn, layers and finetune."));
  }
  const layers = layerChart(runs);
  const judged = runs.flatMap((run) => run.evaluations.map(([name, result]) => [run, name, confusion(result)])).filter(([, , made]) => made);
  return part("evaluations", "Evaluations",
    table(["run", "protocol", "how", "top-1 %", "top-5 %", "images", "step"], rows, [3, 4, 5, 6]),
    layers ? element("div", { class: "charts cards" }, added(layers)) : null,
    judged.map(([run, name, made], at) => element("details", { open: at === 0 },
      element("summary", {}, `What was taken for what: ${several ? `${run.name}, ` : ""}${name}`), made)));
}

function settings() {
  const whole = (run) => element("details", { open: !several }, element("summary", {}, `All settings of ${run.name}`), settingsOf(run));
  return part("settings", "Settings", several ? [element("h3", {}, "Where they differ"), differences(runs)] : null, runs.map(whole));
}

function environments() {
  const known = runs.filter((run) => run.environment);
  if (!known.length) return null;
  return part("environment", "Environment", element("div", { class: "cards" }, known.map((run) =>
    element("div", { class: "panel" }, several ? element("h3", {}, run.name) : null,
      facts(Object.entries(run.environment).map(([name, value]) => [name, written(value)]))))));
}

document.getElementById("header").append(
  element("h1", {}, several ? `${runs.length} runs` : runs[0].name), overview());
document.getElementById("main").replaceChildren(
  ...[runToggles(), curves(), views(), evaluations(), settings(), environments()].flat(Infinity).filter(Boolean));
document.getElementById("footer").append(`Made by selfsame ${report.version}. Everything this page shows is inside it.`);
window.addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
