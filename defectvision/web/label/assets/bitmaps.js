// The masks of one image, exact to its px: a byte for each px of a class, down the columns, so that
// COCO's run lengths can be read straight off. Room is taken by classes that have px alone.
//
// A step back needs what lay in the tiles that were changed. Tiles of one value are kept as that
// value; the oldest steps are forgotten where the others take more than MOST_KEPT bytes.

const TILE = 256; // px
const MOST_KEPT = 64 * 2 ** 20;

class Bitmaps {
  constructor(height, width) {
    Object.assign(this, { height, width, of: new Map(), areas: new Map(), reach: new Map() });
    Object.assign(this, { past: [], future: [], entry: null });
    this.down = Math.ceil(height / TILE);
  }

  take(name) {
    if (!this.of.has(name)) this.of.set(name, new Uint8Array(this.height * this.width));
    return this.of.get(name);
  }

  area(name) {
    return this.areas.get(name) ?? 0;
  }

  clip({ left, top, right, bottom }) {
    return {
      left: Math.max(0, left), top: Math.max(0, top),
      right: Math.min(this.width, right), bottom: Math.min(this.height, bottom),
    };
  }

  // --- run lengths -----------------------------------------------------------------------

  load(name, counts) {
    this.areas.set(name, this.lay(name, counts));
    this.reach.set(name, [0, this.width]);
  }

  // Sets the px of these run lengths, and answers how many they are.
  lay(name, counts) {
    const bits = this.take(name);
    let from = 0, area = 0;
    counts.forEach((count, place) => {
      if (place % 2) {
        bits.fill(1, from, from + count);
        area += count;
      }
      from += count;
    });
    return area;
  }

  runs(name) {
    const size = this.height * this.width;
    if (!this.area(name)) return [size];
    const bits = this.take(name);
    const [first, last] = this.reach.get(name).map((column) => column * this.height);
    const reached = bits.subarray(0, last);
    const counts = [];
    let value = 0, from = 0, seek = first;
    while (from < size) {
      const found = reached.indexOf(1 - value, seek);
      const end = found >= 0 ? found : value ? last : size;
      counts.push(end - from);
      from = seek = end;
      value = 1 - value;
    }
    return counts;
  }

  // --- changes ---------------------------------------------------------------------------

  // Whatever is changed from here to `commit` is one step; `state` comes back with it.
  begin(state) {
    this.entry = { state, tiles: new Map() };
  }

  // Says that px of this box are about to change.
  touch(name, { left, top, right, bottom }) {
    const bits = this.take(name);
    if (!this.entry.tiles.has(name)) this.entry.tiles.set(name, new Map());
    const kept = this.entry.tiles.get(name);
    for (let across = Math.floor(left / TILE); across * TILE < right; across += 1) {
      for (let along = Math.floor(top / TILE); along * TILE < bottom; along += 1) {
        const index = across * this.down + along;
        if (!kept.has(index)) kept.set(index, this.copy(bits, index));
      }
    }
    const [first, last] = this.reach.get(name) ?? [left, right];
    this.reach.set(name, [Math.min(first, left), Math.max(last, right)]);
  }

  // Ends the step: the names of the classes whose masks are others than before.
  commit(changesState) {
    const { tiles } = this.entry;
    for (const [name, kept] of tiles) {
      for (const [index, before] of kept) {
        const after = this.copy(this.of.get(name), index);
        if (same(before, after)) kept.delete(index);
        else this.grow(name, this.sum(after, index) - this.sum(before, index));
      }
      if (!kept.size) tiles.delete(name);
      this.release(name);
    }
    const changed = [...tiles.keys()];
    if (changed.length || changesState) {
      this.past.push(this.entry);
      this.future = [];
      this.trim();
    }
    this.entry = null;
    return changed;
  }

  // Takes back what was changed since `begin`.
  cancel() {
    if (!this.entry) return;
    for (const [name, kept] of this.entry.tiles) {
      for (const [index, before] of kept) this.write(this.take(name), index, before);
      this.release(name);
    }
    this.entry = null;
  }

  // A step back (`from` past `to` future) or forth again: its state and its classes, null for none.
  step(from, to, state) {
    const entry = from.pop();
    if (!entry) return null;
    for (const [name, kept] of entry.tiles) {
      const bits = this.take(name);
      for (const [index, content] of kept) {
        const now = this.copy(bits, index);
        this.write(bits, index, content);
        this.grow(name, this.sum(content, index) - this.sum(now, index));
        kept.set(index, now);
      }
      this.release(name);
    }
    const wanted = entry.state;
    entry.state = state;
    to.push(entry);
    return { state: wanted, changed: [...entry.tiles.keys()] };
  }

  back(state) {
    return this.step(this.past, this.future, state);
  }

  forth(state) {
    return this.step(this.future, this.past, state);
  }

  // Gives a class' px to another, or to none.
  move(from, to) {
    if (!this.area(from)) return;
    const [left, right] = this.reach.get(from);
    const box = { left, right, top: 0, bottom: this.height };
    this.touch(from, box);
    const source = this.take(from).subarray(left * this.height, right * this.height);
    if (to !== null) {
      this.touch(to, box);
      this.merge(this.take(to), source, left * this.height);
    }
    source.fill(0);
  }

  merge(target, source, start) {
    let at = source.indexOf(1);
    while (at >= 0) {
      const end = source.indexOf(0, at);
      target.fill(1, start + at, start + (end < 0 ? source.length : end));
      at = end < 0 ? -1 : source.indexOf(1, end);
    }
  }

  // --- tiles -----------------------------------------------------------------------------

  box(index) {
    const left = Math.floor(index / this.down) * TILE, top = (index % this.down) * TILE;
    return this.clip({ left, top, right: left + TILE, bottom: top + TILE });
  }

  copy(bits, index) {
    const { left, top, right, bottom } = this.box(index);
    const high = bottom - top;
    const size = (right - left) * high;
    // Whole words, by which it is compared and counted.
    const copy = new Uint8Array(new ArrayBuffer(Math.ceil(size / 4) * 4), 0, size);
    for (let x = left; x < right; x += 1) {
      const start = x * this.height;
      copy.set(bits.subarray(start + top, start + bottom), (x - left) * high);
    }
    return copy.indexOf(1 - copy[0]) < 0 ? copy[0] : copy;
  }

  write(bits, index, content) {
    const { left, top, right, bottom } = this.box(index);
    const high = bottom - top;
    for (let x = left; x < right; x += 1) {
      const start = x * this.height;
      if (typeof content === "number") bits.fill(content, start + top, start + bottom);
      else bits.set(content.subarray((x - left) * high, (x - left + 1) * high), start + top);
    }
  }

  sum(content, index) {
    if (typeof content === "number") {
      const { left, top, right, bottom } = this.box(index);
      return content * (right - left) * (bottom - top);
    }
    // Four px at once, in four sums that run over after 255 words.
    const words = new Uint32Array(content.buffer);
    let sum = 0;
    for (let from = 0; from < words.length; from += 255) {
      const end = Math.min(words.length, from + 255);
      let four = 0;
      for (let i = from; i < end; i += 1) four += words[i];
      four >>>= 0;
      sum += (four & 255) + ((four >> 8) & 255) + ((four >> 16) & 255) + (four >>> 24);
    }
    return sum;
  }

  grow(name, by) {
    this.areas.set(name, this.area(name) + by);
  }

  release(name) {
    if (!this.area(name)) this.of.delete(name);
  }

  trim() {
    let bytes = 0, place = this.past.length;
    while (place > 0 && bytes <= MOST_KEPT) {
      place -= 1;
      for (const kept of this.past[place].tiles.values()) {
        for (const content of kept.values()) bytes += content.length ?? 1;
      }
    }
    if (bytes > MOST_KEPT) this.past.splice(0, Math.min(place + 1, this.past.length - 1));
  }
}

function same(one, other) {
  if (typeof one === "number" || typeof other === "number") return one === other;
  const words = new Uint32Array(one.buffer), others = new Uint32Array(other.buffer);
  for (let i = 0; i < words.length; i += 1) if (words[i] !== others[i]) return false;
  return true;
}
