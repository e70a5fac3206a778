// The classes of the open image: which are chosen, and which of them is drawn.

class Classes {
  constructor(canvas, find) {
    Object.assign(this, { canvas, list: find(".classes-list"), names: [], active: null });
  }

  show(data) {
    this.all = data.classes;
    this.several = data.several;
    this.drawable = data.drawable;
    this.names = this.all.map(({ name }) => name).filter((name) => data.names.includes(name));
    const defects = this.all.filter(({ good }) => !good).map(({ name }) => name);
    this.active = this.names.find((name) => defects.includes(name)) ?? null;
    // Nobody need say what is drawn where there is but one thing to draw.
    if (!this.names.length && defects.length === 1) [this.active] = defects;
    this.rows = this.all.map((about) => this.row(about));
    this.list.replaceChildren(...this.rows.map(({ row }) => row));
    this.draw();
  }

  about(name) {
    return this.all.find((about) => about.name === name);
  }

  get state() {
    return { names: this.names, active: this.active };
  }

  restore({ names, active }) {
    Object.assign(this, { names, active });
    this.draw();
  }

  // By a click or a digit.
  choose(name) {
    const { canvas } = this;
    const about = this.about(name);
    const area = canvas.bitmaps.area(name);
    if (!this.names.includes(name)) {
      canvas.step(() => this.add(about));
      canvas.say(`${about.title} chosen`);
    } else if (this.active !== name && this.drawable && !about.good) {
      this.active = name;
      this.draw();
      canvas.say(`${about.title} is drawn now`);
    } else if (area && this.drawable) {
      canvas.say(`${about.title} has ${whole(area)} px drawn; Delete removes both`);
    } else this.remove(name);
    canvas.repaint();
  }

  add(about) {
    const { bitmaps } = this.canvas;
    const others = this.all.filter((other) => other.name !== about.name);
    if (about.good || !this.several) {
      // What was drawn belongs to the label: it goes over to another, and a good part has none.
      const heir = about.good ? null : about.name;
      if (this.drawable) for (const { name } of others) bitmaps.move(name, heir);
      this.names = [about.name];
    } else {
      const defects = this.names.filter((name) => !this.about(name).good);
      const wanted = [...defects, about.name];
      this.names = this.all.map(({ name }) => name).filter((name) => wanted.includes(name));
    }
    this.active = about.good ? null : about.name;
  }

  remove(name) {
    const { canvas } = this;
    canvas.step(() => {
      if (this.drawable) canvas.bitmaps.move(name, null);
      this.names = this.names.filter((other) => other !== name);
      const left = this.names.filter((other) => !this.about(other).good);
      if (this.active === name) this.active = left[0] ?? null;
    });
    canvas.say(`${this.about(name).title} removed`);
    canvas.repaint();
  }

  // What is drawn is there.
  drawn() {
    const { active } = this;
    if (active !== null && !this.names.includes(active)) this.add(this.about(active));
  }

  row(about) {
    const area = make("output");
    const parts = [make("i"), make("span", {}, about.title), area];
    parts[0].style.background = about.colour;
    if (about.key) parts.push(make("kbd", {}, about.key));
    const title = about.key ? `${about.title} (${about.key})` : about.title;
    const choose = make("button", { type: "button", class: "class", title }, ...parts);
    choose.addEventListener("click", () => this.choose(about.name));
    const words = `Remove ${about.title} and what is drawn of it`;
    const remove = make("button", {
      type: "button", class: "remove", title: `${words} (Delete)`, "aria-label": words,
    }, "×");
    remove.addEventListener("click", () => this.remove(about.name));
    const row = make("div", { class: "class-row" }, choose, remove);
    return { about, area, choose, remove, row };
  }

  draw() {
    for (const { about, area, choose, remove } of this.rows ?? []) {
      const chosen = this.names.includes(about.name);
      const size = this.canvas.bitmaps.area(about.name);
      choose.setAttribute("aria-pressed", String(chosen));
      choose.classList.toggle("active", this.drawable && this.active === about.name);
      area.textContent = size ? `${whole(size)} px` : "";
      remove.style.visibility = chosen ? "" : "hidden";
    }
  }
}
