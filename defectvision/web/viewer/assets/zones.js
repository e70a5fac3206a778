// The zones of the policy over the picture, and the tool that draws one: corners by clicks, or by
// Enter at the cross in the middle; its name and kind are sent to Python with them.

class Zones {
  constructor(viewer, find) {
    Object.assign(this, { viewer, find, corners: [], active: false });
    this.svg = find(".zones");
    find(".zone-switch").addEventListener("click", () => this.switch());
    find(".corner-back").addEventListener("click", () => this.back());
    find(".new-zone").addEventListener("submit", (event) => {
      event.preventDefault();
      this.add?.({
        name: find(".zone-name").value,
        ignored: find(".zone-kind").value === "ignored",
        corners: this.corners.map(({ x, y }) => [x, y]),
      });
      this.switch();
    });
  }

  // zones: those of the policy; add: gets a new one, null where none may be drawn.
  show(zones, add, another) {
    Object.assign(this, { zones, add });
    this.find(".zone-tool").hidden = !add;
    if (another || !add) {
      this.corners = [];
      this.active = this.active && Boolean(add);
    }
    this.draw();
  }

  switch() {
    this.active = !this.active;
    this.corners = [];
    if (this.active) {
      const taken = new Set(this.zones.map((zone) => zone.name));
      let number = 1;
      while (taken.has(`Zone ${number}`)) number += 1;
      this.find(".zone-name").value = `Zone ${number}`;
      this.viewer.only(this);
      this.viewer.stage.focus();
    }
    this.draw();
  }

  mark(point) {
    this.corners.push(point);
    this.draw();
  }

  back() {
    this.corners.pop();
    this.draw();
  }

  draw() {
    const { width, height } = this.viewer.data;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const drawn = this.zones.map((zone) => this.shape(zone.corners, zone));
    if (this.active && this.corners.length) {
      const corners = this.corners.map(({ x, y }) => [x, y]);
      drawn.push(this.shape(corners, { name: "", ignored: false, drawn: true }));
    }
    this.svg.replaceChildren(...drawn);
    this.find(".zone-switch").setAttribute("aria-pressed", this.active);
    this.find(".zone-words").textContent = this.words();
    this.find(".corner-back").hidden = !(this.active && this.corners.length);
    this.find(".new-zone").hidden = !(this.active && this.corners.length > 2);
    this.viewer.showTool();
  }

  shape(corners, { name, ignored, drawn }) {
    const group = document.createElementNS(SVG, "g");
    group.setAttribute("class", `zone ${ignored ? "ignored" : ""} ${drawn ? "drawn" : ""}`);
    const polygon = document.createElementNS(SVG, "polygon");
    polygon.setAttribute("points", corners.map((corner) => corner.join(",")).join(" "));
    const title = document.createElementNS(SVG, "title");
    title.textContent = ignored ? `${name}, ignored` : name;
    group.append(polygon, title);
    if (name) {
      const text = document.createElementNS(SVG, "text");
      const [x, y] = corners.reduce((a, b) => (b[1] < a[1] ? b : a));
      text.setAttribute("x", x);
      text.setAttribute("y", y);
      text.textContent = title.textContent;
      group.append(text);
    }
    return group;
  }

  words() {
    if (!this.active) return "";
    const more = 3 - this.corners.length;
    if (more > 0) return `Click the zone's corners: ${more} more at least.`;
    return `${this.corners.length} corners.`;
  }
}
