// The map of embeddings: a dot an image, its class the colour; a pointer or the arrow keys name the nearest.
const MAP = { width: 860, height: 600, margin: 18 };

// Places in [0, 1], one scale for both directions, so that distances stay what they are.
function fitted(points) {
  const lows = [0, 1].map((axis) => points.reduce((low, p) => Math.min(low, p[axis]), Infinity));
  const highs = [0, 1].map((axis) => points.reduce((high, p) => Math.max(high, p[axis]), -Infinity));
  const wide = MAP.width - 2 * MAP.margin, tall = MAP.height - 2 * MAP.margin;
  const scale = Math.min(wide / (highs[0] - lows[0] || 1), tall / (highs[1] - lows[1] || 1));
  const middle = [0, 1].map((axis) => (lows[axis] + highs[axis]) / 2);
  return points.map(([x, y]) => [MAP.width / 2 + (x - middle[0]) * scale, MAP.height / 2 - (y - middle[1]) * scale]);
}

function embeddingMap(gallery, look) {
  const { album } = gallery;
  const kinds = [["PCA", look.pca]].concat(look.tsne ? [["t-SNE", look.tsne]] : []).reverse();
  const hidden = new Set();
  const frame = drawn("svg", {
    viewBox: `0 0 ${MAP.width} ${MAP.height}`, role: "img", tabindex: "0",
    "aria-label": `Map of ${album.names.length} images; the arrow keys go from one to the next`,
  });
  const tip = element("div", { class: "tip", hidden: true });
  const said = element("p", { class: "soft small" });
  let places = [], dots = [], at = null;

  function draw(kind) {
    places = fitted(kinds[kind][1]);
    dots = places.map(([x, y], image) => drawn("circle", {
      cx: x.toFixed(1), cy: y.toFixed(1), r: places.length > 800 ? 3 : 4.5, color: classColor(album.labels[image]),
    }));
    frame.replaceChildren(...dots);
    said.replaceChildren(kinds[kind][0] === "PCA"
      ? `The first two principal components hold ${figure(100 * look.shares[0])} and ${figure(100 * look.shares[1])} % of the variance of the embeddings.`
      : "t-SNE keeps neighbours together; distances between groups, and the groups' sizes, say nothing.");
    hide();
    leave();
  }
  const hide = () => dots.forEach((dot, image) => {
    dot.style.display = hidden.has(album.labels[image]) ? "none" : "";
  });

  function leave() {
    if (at !== null && dots[at]) dots[at].classList.remove("at");
    at = null;
    tip.hidden = true;
  }

  function show(image) {
    if (image === at) return;
    leave();
    at = image;
    frame.append(dots[image]); // on top of the others
    dots[image].classList.add("at");
    const label = album.labels[image];
    tip.replaceChildren(thumb(album, image, 128), element("b", {}, label === null ? "" : album.classes[label]),
      element("div", {}, album.names[image]));
    tip.hidden = false;
    const [x, y] = places[image], box = frame.getBoundingClientRect(), unit = box.width / MAP.width;
    const left = x * unit + 14, top = y * unit + 14;
    tip.style.left = `${Math.max(0, left + 172 > box.width ? left - 200 : left)}px`;
    tip.style.top = `${top + tip.offsetHeight > box.height ? Math.max(0, top - 28 - tip.offsetHeight) : top}px`;
  }

  frame.addEventListener("pointermove", (event) => {
    const box = frame.getBoundingClientRect(), unit = MAP.width / box.width;
    const [x, y] = [(event.clientX - box.left) * unit, (event.clientY - box.top) * unit];
    let nearest = null, least = 30 * 30;
    places.forEach(([px, py], image) => {
      const distance = (px - x) ** 2 + (py - y) ** 2;
      if (distance < least && !hidden.has(album.labels[image])) [nearest, least] = [image, distance];
    });
    if (nearest === null) leave(); else show(nearest);
  });
  frame.addEventListener("pointerleave", leave);
  frame.addEventListener("blur", leave);
  frame.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    if (event.key === "Escape") leave();
    if (!step) return;
    event.preventDefault();
    const n = places.length;
    let next = at === null ? (step > 0 ? 0 : n - 1) : (at + step + n) % n;
    for (let tries = 0; tries < n && hidden.has(album.labels[next]); tries += 1) next = (next + step + n) % n;
    show(next);
  });
  draw(0);
  return [
    choice(kinds.map(([name]) => name), "Projection", draw),
    element("div", { class: "map" }, frame, tip),
    said,
    legend(album, hidden, () => { hide(); leave(); }),
  ];
}

// Classes to show and hide; of very many, the first.
function legend(album, hidden, changed) {
  const LISTED = 60;
  if (!album.classes.length) return element("p", { class: "soft small" }, "The images have no labels: all dots are of one colour.");
  const present = album.classes.map((name, label) => [name, label]).filter(([, label]) => album.labels.includes(label));
  const buttons = present.slice(0, LISTED).map(([name, label]) => toggle(name, classColor(label), (on) => {
    if (on) hidden.delete(label); else hidden.add(label);
    changed();
  }));
  const more = present.length > LISTED ? element("span", { class: "soft small" }, `and ${present.length - LISTED} more classes`) : null;
  return element("div", { class: "toggles", role: "group", "aria-label": "Classes" }, buttons, more);
}
