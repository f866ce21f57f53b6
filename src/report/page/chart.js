// A chart: a line a run over common x, redrawn when runs are shown or hidden; a pointer or the arrow keys
// read it out.
const CHART = { width: 400, height: 215, left: 52, right: 12, top: 10, bottom: 28 };

// Round numbers around [low, high].
function ticks(low, high, most) {
  if (low === high) [low, high] = low === 0 ? [-1, 1] : [low - Math.abs(low) / 2, high + Math.abs(high) / 2];
  const power = 10 ** Math.floor(Math.log10((high - low) / most));
  const step = power * [1, 2, 5, 10].find((factor) => (high - low) / (power * factor) <= most);
  const [first, last] = [Math.floor(low / step + 1e-9), Math.ceil(high / step - 1e-9)];
  return Array.from({ length: last - first + 1 }, (_, at) => Number(((first + at) * step).toPrecision(12)));
}

// `lines`: {run, name, x, y}, y null where there is no value. `names`: of x, where it is categories.
// `shown(run)`: whether it is drawn.
function chart({ title, unit, lines, names, shown, level }) {
  const readout = element("output", { class: "readout" });
  const frame = drawn("svg", {
    viewBox: `0 0 ${CHART.width} ${CHART.height}`, role: "img", tabindex: "0", "aria-label": `${title}: ${unit}`,
  });
  const panel = element("div", { class: "panel chart" }, element("h3", {}, title), readout, frame);
  let visible = [], scale = null, cursor = null, at = null;

  function draw() {
    visible = lines.filter((line) => shown(line.run));
    frame.replaceChildren();
    readout.replaceChildren(unit);
    at = null;
    const values = visible.flatMap((line) => line.y.filter(Number.isFinite)).concat(level ? [level.y] : []);
    const places = lines.flatMap((line) => line.x);
    if (!values.length) {
      frame.append(drawn("text", { x: CHART.width / 2, y: CHART.height / 2, "text-anchor": "middle" }, "no run is shown"));
      return;
    }
    const yTicks = ticks(Math.min(...values), Math.max(...values), 5);
    const [low, high] = [yTicks[0], yTicks[yTicks.length - 1]];
    const [first, last] = [places.reduce((a, b) => Math.min(a, b)), places.reduce((a, b) => Math.max(a, b))];
    const wide = CHART.width - CHART.left - CHART.right, tall = CHART.height - CHART.top - CHART.bottom;
    scale = {
      x: (x) => CHART.left + (last > first ? (x - first) / (last - first) : 0.5) * wide,
      y: (y) => CHART.top + (1 - (y - low) / (high - low)) * tall,
    };
    axes(yTicks, first, last);
    visible.forEach(line);
    cursor = drawn("g", {});
    frame.append(cursor);
  }

  function axes(yTicks, first, last) {
    for (const y of yTicks) {
      frame.append(drawn("line", { class: "grid", x1: CHART.left, x2: CHART.width - CHART.right, y1: scale.y(y), y2: scale.y(y) }));
      frame.append(drawn("text", { x: CHART.left - 8, y: scale.y(y) + 4, "text-anchor": "end" }, figure(y)));
    }
    const marks = names ? names.map((_, place) => place) : ticks(first, last, 5).filter((x) => x >= first && x <= last);
    for (const x of marks) {
      const label = names ? names[x] : figure(x);
      frame.append(drawn("text", { x: scale.x(x), y: CHART.height - 10, "text-anchor": "middle" }, label));
    }
    const foot = CHART.height - CHART.bottom;
    frame.append(drawn("line", { class: "axis", x1: CHART.left, x2: CHART.width - CHART.right, y1: foot, y2: foot }));
    if (level) {
      frame.append(drawn("line", { class: "cursor", x1: CHART.left, x2: CHART.width - CHART.right, y1: scale.y(level.y), y2: scale.y(level.y) }));
      frame.append(drawn("text", { x: CHART.width - CHART.right, y: scale.y(level.y) - 5, "text-anchor": "end" }, level.name));
    }
  }

  function line({ run, x, y }) {
    let path = "", pen = false, points = 0;
    x.forEach((place, at) => {
      if (!Number.isFinite(y[at])) { pen = false; return; }
      path += `${pen ? "L" : "M"}${scale.x(place).toFixed(1)} ${scale.y(y[at]).toFixed(1)}`;
      pen = true;
      points += 1;
    });
    const dashes = [null, "7 4", "2 3", "9 3 2 3"][Math.floor(run / 7) % 4];
    frame.append(drawn("path", { class: "series", d: path, color: runColor(run), "stroke-dasharray": dashes, "data-run": run }));
    if (points > 30) return; // marks of many would hide the line
    x.forEach((place, at) => {
      if (Number.isFinite(y[at])) {
        frame.append(drawn("circle", { class: "dot", cx: scale.x(place), cy: scale.y(y[at]), r: 2.6, color: runColor(run) }));
      }
    });
  }

  // What every visible run is at `x`, or nearest to it.
  function read(x) {
    if (!visible.length) return;
    const nearest = (line) => line.x.reduce((best, place, at) => (Math.abs(place - x) < Math.abs(line.x[best] - x) ? at : best), 0);
    at = visible[0].x[nearest(visible[0])];
    cursor.replaceChildren(drawn("line", { class: "cursor", x1: scale.x(at), x2: scale.x(at), y1: CHART.top, y2: CHART.height - CHART.bottom }));
    readout.replaceChildren(names ? `${names[at]} ` : `step ${figure(at)} `);
    for (const line of visible) {
      const place = nearest(line);
      readout.append(" ", key(runColor(line.run)), lines.length > 1 ? `${line.name} ` : "", element("b", {}, figure(line.y[place])), " ");
      if (Number.isFinite(line.y[place])) {
        cursor.append(drawn("circle", { class: "dot", cx: scale.x(line.x[place]), cy: scale.y(line.y[place]), r: 4, color: runColor(line.run) }));
      }
    }
  }

  frame.addEventListener("pointermove", (event) => {
    const box = frame.getBoundingClientRect();
    const share = ((event.clientX - box.left) / box.width * CHART.width - CHART.left) / (CHART.width - CHART.left - CHART.right);
    const places = lines.flatMap((line) => line.x);
    const [first, last] = [places.reduce((a, b) => Math.min(a, b)), places.reduce((a, b) => Math.max(a, b))];
    read(first + share * (last - first));
  });
  frame.addEventListener("pointerleave", draw);
  frame.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || !visible.length) return;
    event.preventDefault();
    const places = visible[0].x, place = at === null ? (step > 0 ? -1 : places.length) : places.indexOf(at);
    read(places[Math.max(0, Math.min(places.length - 1, place + step))]);
  });
  draw();
  return { panel, draw };
}
