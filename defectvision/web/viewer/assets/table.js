// The table of the open image's regions; it brings the masks to the picture.

const COLUMNS = [
  { name: "class", title: "Class", value: (r) => r.class },
  { name: "area", title: "Area", value: (r) => r.area[0] },
  { name: "length", title: "Length", value: (r) => r.length[0] },
  { name: "width", title: "Width", value: (r) => r.width[0] },
  { name: "x", title: "x", value: (r) => r.x },
  { name: "y", title: "y", value: (r) => r.y },
  { name: "probability", title: "Probability", value: (r) => r.probability },
];
const tables = new WeakMap();
const sorted = { column: "area", falling: true }; // stays from one image to the next
const metric = (value) => (value >= 1000 ? whole(value) : String(Number(value.toPrecision(3))));

class Table {
  constructor(root) {
    this.find = (name) => root.querySelector(name);
    this.body = this.find("tbody");
    const heads = COLUMNS.map(({ name, title }) => {
      const button = make("button", { type: "button", "data-column": name }, title);
      return make("th", { scope: "col", class: name }, button);
    });
    this.find("thead tr").replaceChildren(...heads);
    this.heard = {
      classes: () => this.draw(),
      select: ({ detail }) => {
        this.mark();
        if (detail.from === "picture") this.scroll();
      },
    };
    for (const [what, hear] of Object.entries(this.heard)) link.addEventListener(what, hear);
    this.listen();
  }

  end() {
    for (const [what, hear] of Object.entries(this.heard)) link.removeEventListener(what, hear);
  }

  // A region stays chosen where the policy in force still cuts it at the same place.
  show(masks) {
    const before = link.regions[link.selected]?.key;
    link.masks = masks;
    link.regions = masks.regions.map((region) => ({
      ...region,
      key: `${masks.id} ${region.class} ${region.box}`,
      title: masks.classes[region.class].title,
      colour: masks.classes[region.class].colour,
      name: `${masks.line} ${masks.classes[region.class].name}`,
    }));
    const kept = link.regions.findIndex((region) => region.key === before);
    link.selected = kept < 0 ? null : kept;
    this.draw();
    tell("masks");
  }

  draw() {
    const { value } = COLUMNS.find(({ name }) => name === sorted.column);
    const sign = sorted.falling ? -1 : 1;
    const { regions } = link;
    link.order = [...regions.keys()]
      .filter((index) => shown(regions[index]))
      .sort((a, b) => sign * (value(regions[a]) - value(regions[b])) || a - b);
    if (link.selected !== null && !shown(regions[link.selected])) choose(null, "table");
    this.rows = new Map(link.order.map((index) => [index, this.row(index)]));
    this.body.replaceChildren(...this.rows.values());
    for (const head of this.find("thead tr").children) {
      const way = sorted.falling ? "descending" : "ascending";
      head.setAttribute("aria-sort", head.className === sorted.column ? way : "none");
    }
    const { unlisted } = link.masks;
    const off = regions.length - link.order.length;
    const notes = [off && `${off} hidden`, unlisted && `${unlisted} smaller ones not listed`];
    const said = notes.filter(Boolean).join(", ");
    const total = regions.length + unlisted;
    this.find(".region-count").textContent = `${total}${said ? ` (${said})` : ""}`;
    this.find(".no-region").hidden = total > 0;
    this.find(".rows").hidden = total === 0;
    const without = link.masks.without.join(", ");
    this.find(".no-mask").textContent = `This model draws no regions of: ${without}.`;
    this.find(".no-mask").hidden = !without;
    this.mark();
  }

  row(index) {
    const region = link.regions[index];
    const measured = ([px, mm], unit, digits) => {
      const pixels = `${digits ? px.toFixed(digits) : whole(px)} px`;
      if (mm === null) return [pixels];
      return [`${metric(mm)} ${unit}`, make("span", { class: "second" }, pixels)];
    };
    const cells = [
      ["class", [make("i", { style: `background:${region.colour}` }), region.title]],
      ["area", measured(region.area, "mm²", 0)],
      ["length", measured(region.length, "mm", 1)],
      ["width", measured(region.width, "mm", 1)],
      ["x", [`${whole(region.x)} px`]],
      ["y", [`${whole(region.y)} px`]],
      ["probability", [region.probability.toFixed(2)]],
    ].map(([name, content]) => make("td", { class: name, role: "gridcell" }, ...content));
    return make("tr", { "data-index": index }, ...cells);
  }

  // One row is a stop of the Tab key; the arrow keys go on from there.
  mark() {
    const stop = link.selected ?? link.order[0];
    for (const [index, row] of this.rows) {
      row.setAttribute("tabindex", index === stop ? "0" : "-1");
      row.setAttribute("aria-selected", String(index === link.selected));
    }
  }

  scroll() {
    const row = this.rows.get(link.selected), room = this.find(".rows");
    if (!row) return;
    const above = row.offsetTop - this.find("thead").offsetHeight;
    const below = row.offsetTop + row.offsetHeight;
    if (above < room.scrollTop) room.scrollTop = above;
    if (below > room.scrollTop + room.clientHeight) room.scrollTop = below - room.clientHeight;
  }

  listen() {
    const at = (event) => {
      const row = event.target.closest("tr");
      return row ? Number(row.dataset.index) : null;
    };
    this.find("thead").addEventListener("click", (event) => {
      const { column } = event.target.dataset;
      if (!column) return;
      sorted.falling = sorted.column === column ? !sorted.falling : column === "area";
      sorted.column = column;
      this.draw();
    });
    this.body.addEventListener("click", (event) => {
      if (at(event) !== null) choose(at(event), "table");
    });
    this.body.addEventListener("keydown", (event) => {
      if (at(event) !== null) keys(event, at(event), (next) => this.rows.get(next).focus(), "table");
    });
  }
}

export default function ({ data, parentElement }) {
  let table = tables.get(parentElement);
  if (!table) {
    table = new Table(parentElement);
    tables.set(parentElement, table);
  }
  table.show(data);
  return () => {
    table.end();
    tables.delete(parentElement);
  };
}
