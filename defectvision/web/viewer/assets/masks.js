// The masks over the picture: an outline per region, and a switch for each class.

const SVG = "http://www.w3.org/2000/svg";

class Masks {
  // `viewer` shows a box of the picture; `find` looks things up in the component.
  constructor(viewer, find) {
    Object.assign(this, { viewer, find, paths: [], rest: [], halos: [] });
    this.svg = find(".masks");
    this.heard = {
      masks: () => viewer.showMasks(),
      classes: () => this.mark(),
      select: ({ detail }) => {
        this.mark();
        const region = link.regions[link.selected];
        if (detail.from === "table" && region && this.drawn) viewer.look(region.box);
      },
    };
    for (const [what, hear] of Object.entries(this.heard)) link.addEventListener(what, hear);
    this.svg.addEventListener("keydown", (event) => {
      const current = this.at(event);
      if (current !== null) keys(event, current, (next) => this.paths[next].focus(), "picture");
    });
  }

  end() {
    for (const [what, hear] of Object.entries(this.heard)) link.removeEventListener(what, hear);
  }

  // The number of the region under a pointer or with the focus.
  at(event) {
    const path = event.target.closest?.(".region");
    return path ? Number(path.dataset.index) : null;
  }

  // Draws the masks `id`; none while another image's are all there is.
  show(id) {
    const masks = link.masks?.id === id ? link.masks : null;
    if (masks && this.drawn === masks) return;
    this.drawn = masks;
    const { width, height } = this.viewer.data;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.paths = (masks ? link.regions : []).map((region, index) => {
      const path = this.path("region", region.path, region.colour);
      path.dataset.index = index;
      path.setAttribute("role", "button");
      path.setAttribute("aria-label", `Region: ${region.title}, ${whole(region.area[0])} px`);
      return path;
    });
    this.rest = (masks?.rest ?? []).map((path, i) =>
      this.path("rest", path, masks.classes[i].colour),
    );
    this.halos = [this.path("halo dark", ""), this.path("halo light", "")];
    this.svg.replaceChildren(...this.rest, ...this.paths, ...this.halos);
    this.drawClasses();
    this.mark();
  }

  path(kind, outline, colour) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("class", kind);
    path.setAttribute("d", outline);
    if (colour) path.style.setProperty("--class", colour);
    return path;
  }

  drawClasses() {
    const chips = (this.drawn?.classes ?? []).map((about) => {
      const name = `${this.drawn.line} ${about.name}`;
      const box = make("input", { type: "checkbox" });
      box.checked = !link.hidden.has(name);
      box.addEventListener("change", () => {
        if (box.checked) link.hidden.delete(name);
        else link.hidden.add(name);
        tell("classes");
      });
      const swatch = make("i", { style: `background:${about.colour}` });
      const count = make("output", {}, String(about.count));
      return make("label", { class: "chip" }, box, swatch, make("span", {}, about.title), count);
    });
    this.find(".chips").replaceChildren(...chips);
  }

  // One region is a stop of the Tab key; the arrow keys go on from there.
  mark() {
    const stop = link.selected ?? link.order[0];
    this.paths.forEach((path, index) => {
      path.classList.toggle("off", !shown(link.regions[index]));
      path.setAttribute("tabindex", index === stop ? "0" : "-1");
      path.setAttribute("aria-pressed", String(index === link.selected));
    });
    this.rest.forEach((path, index) => {
      const { line, classes } = this.drawn;
      path.classList.toggle("off", link.hidden.has(`${line} ${classes[index].name}`));
    });
    const outline = this.drawn ? (link.regions[link.selected]?.path ?? "") : "";
    for (const halo of this.halos) halo.setAttribute("d", outline);
    this.viewer.stage.dataset.region = this.drawn ? (link.selected ?? "") : "";
  }
}
