// Does with a page what a reader does, and leaves what it saw for the test.
window.addEventListener("load", async () => {
  const seen = {};
  try {
    const frame = document.querySelector(".map svg"), tip = document.querySelector(".map .tip");
    const dots = [...frame.querySelectorAll("circle")];
    seen.dots = dots.length;
    const over = (target, at) => {
      const box = at.getBoundingClientRect();
      const place = { clientX: box.left + box.width / 2, clientY: box.top + box.height / 2, bubbles: true };
      target.dispatchEvent(new PointerEvent("pointermove", place));
    };
    frame.scrollIntoView();
    seen.tipBefore = !tip.hidden;
    over(frame, dots[3]);
    seen.tip = !tip.hidden;
    seen.tipText = tip.textContent;
    const image = getComputedStyle(tip.querySelector(".thumb")).backgroundImage;
    const loaded = new Image();
    loaded.src = image.slice(5, -2); // url("...")
    await loaded.decode();
    seen.sheet = [loaded.naturalWidth, loaded.naturalHeight];
    frame.dispatchEvent(new PointerEvent("pointerleave"));
    seen.tipAfter = !tip.hidden;
    frame.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
    seen.tipByKey = !tip.hidden;

    const shown = () => [...frame.querySelectorAll("circle")].filter((dot) => dot.style.display !== "none").length;
    const classes = document.querySelectorAll("[aria-label=Classes] button");
    seen.classes = [...classes].map((button) => button.textContent);
    classes[0].click();
    seen.dotsWithoutOne = shown();
    classes[0].click();
    seen.dotsAgain = shown();

    const lines = () => document.querySelectorAll(".chart path[data-run='1']").length;
    const runs = document.querySelectorAll(".runs button");
    seen.lines = lines();
    runs[1].click();
    seen.linesWithout = lines();
    seen.pressed = runs[1].getAttribute("aria-pressed");
    runs[1].click();
    seen.linesAgain = lines();

    const chart = document.querySelector(".chart svg");
    over(chart, chart);
    seen.readout = document.querySelector(".chart output").textContent;
    const pick = document.querySelectorAll("#map [aria-label=Run] button");
    pick[1].click();
    seen.dotsOfOther = document.querySelectorAll("#map .map circle").length;
    seen.fetched = performance.getEntriesByType("resource").map(({ name }) => name).filter((name) => !name.startsWith("data:"));
    seen.alerted = Boolean(window.alerted);
  } catch (error) {
    seen.error = String(error);
  }
  const note = document.createElement("pre");
  note.id = "probe";
  note.textContent = JSON.stringify(seen);
  document.body.append(note);
});
