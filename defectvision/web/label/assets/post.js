// Tells Python what was drawn. What was changed is told again with every message until it is
// confirmed: messages that follow each other closely may reach Python as the last of them.

const QUIET = 400; // ms after a stroke
const PATIENCE = 10_000; // ms until it is told again, each time twice as long

const confirmations = (globalThis[Symbol.for("defectvision.label")] ??= Object.assign(
  new EventTarget(), { heard: new Map() }, // by opening: { number, refused }
));

class Post {
  // collect: gives names, strokes and the masks of these classes; say: "kept", "sending", "waiting"
  // or "refused"; busy: whether a stroke is being drawn, which is not to be held up; stays:
  // called when a step was heard and led to no other image.
  constructor({ collect, say, busy, stays }) {
    Object.assign(this, { collect, say, busy, stays, stepped: 0, number: 0, changed: new Map() });
    this.send = () => {};
    this.hear = () => this.confirm();
    confirmations.addEventListener("heard", this.hear);
  }

  end() {
    confirmations.removeEventListener("heard", this.hear);
    clearTimeout(this.timer);
  }

  // Another image, or the same of a server that has started anew.
  open(opening, another) {
    this.opening = opening;
    this.stepped = 0;
    if (another) {
      this.changed.clear();
      this.say("kept");
    } else if (this.changed.size) this.flush();
  }

  // names: of the classes whose masks have changed; "" stands for the labels.
  change(names) {
    for (const name of ["", ...names]) this.changed.set(name, this.number + 1);
    this.say("sending");
    this.wait(QUIET);
  }

  wait(time, next = PATIENCE) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      if (this.busy()) this.wait(QUIET, next);
      else this.flush("", next);
    }, time);
  }

  flush(step = "", patience = PATIENCE) {
    clearTimeout(this.timer);
    if (!step && !this.changed.size) return;
    this.number += 1;
    if (step) this.stepped = this.number;
    const masks = [...this.changed.keys()].filter((name) => name !== "");
    this.send({ opening: this.opening, number: this.number, step, ...this.collect(masks) });
    if (!this.changed.size) return;
    this.say(patience > PATIENCE ? "waiting" : "sending");
    this.wait(patience, patience * 2);
  }

  confirm() {
    const heard = confirmations.heard.get(this.opening);
    if (!heard) return;
    for (const [name, number] of this.changed) {
      if (number <= heard.number) this.changed.delete(name);
    }
    if (heard.refused || heard.number >= this.stepped) this.stays();
    if (heard.refused) {
      clearTimeout(this.timer);
      this.say("refused");
    } else if (!this.changed.size) {
      clearTimeout(this.timer);
      this.say("kept");
    }
  }
}
