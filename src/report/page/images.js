// Images: each is a place on a sheet of small copies, which is in the page once.
const sheets = new Map();

function sheetOf(album) {
  if (!sheets.has(album.sheet)) {
    const name = `sheet${sheets.size}`;
    document.head.append(element("style", {}, `.${name} { background-image: url("${album.sheet.uri}"); }`));
    sheets.set(album.sheet, name);
  }
  return sheets.get(album.sheet);
}

function thumb(album, image, size) {
  const { columns, rows } = album.sheet;
  const made = element("span", { class: `thumb ${sheetOf(album)}`, role: "img", "aria-label": album.names[image], title: album.names[image] });
  made.style.width = made.style.height = `${size}px`;
  made.style.backgroundSize = `${columns * size}px ${rows * size}px`;
  made.style.backgroundPosition = `${-(image % columns) * size}px ${-Math.floor(image / columns) * size}px`;
  return made;
}

// An image with lines under it; `kind`: `same` or `other` of class, or nothing.
function pictured(album, image, captions, kind) {
  const lines = captions.map((caption) => element("span", { class: "name", title: caption }, caption));
  return element("figure", { class: kind }, thumb(album, image, 80), element("figcaption", {}, lines));
}

const className = (album, image) => (album.labels[image] === null ? "" : album.classes[album.labels[image]]);

function neighbourGrid(gallery, look) {
  const { album } = gallery, bank = look.bank || album;
  const row = ({ image, found }) => {
    const own = className(album, image);
    const others = found.map(([other, cosine]) => {
      const name = className(bank, other);
      const kind = own && name ? (own === name ? "same" : "other") : null;
      const mark = { same: "✓ ", other: "✗ " }[kind] || "";
      return pictured(bank, other, [`${mark}${cosine.toFixed(2)}`, name], kind);
    });
    const query = pictured(album, image, [own || album.names[image]], null);
    query.classList.add("query");
    return element("div", { class: "row" }, query, others);
  };
  const labelled = look.neighbours.some(({ image }) => className(album, image));
  return [
    element("p", { class: "soft small" },
      `At the left an image, then the nearest to it by cosine${look.bank ? ", among the training images" : ", among the images of the map"}.`,
      labelled ? " ✓ and a solid frame: the same class; ✗ and a dashed one: another." : ""),
    element("div", { class: "rows" }, look.neighbours.map(row)),
  ];
}

function prototypeGrid(gallery, look) {
  const { album } = gallery, { all, used, most_used: shown } = look.prototypes;
  const row = ({ number, count, images }) => {
    const share = 100 * count / album.names.length;
    const head = element("figure", {}, element("b", {}, `#${number}`), element("br"), `${count} images`, element("br"), `${figure(share)} %`);
    return element("div", { class: "row" }, head, images.map((image) => pictured(album, image, [className(album, image)], null)));
  };
  return [
    element("p", { class: "soft small" },
      `${used} of ${all} prototypes are the nearest of any of these ${album.names.length} images. The most used, each with the images nearest to it:`),
    element("div", { class: "rows" }, shown.map(row)),
  ];
}
