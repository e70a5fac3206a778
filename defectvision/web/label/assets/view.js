// Which part of the picture the stage shows; moves as in the picture viewer.

class View {
  // changed: called after each move.
  constructor(stage, changed) {
    Object.assign(this, { stage, changed, scale: 1, x: 0, y: 0, width: 1, height: 1 });
    this.fitted = true;
  }

  room() {
    return { width: this.stage.clientWidth, height: this.stage.clientHeight };
  }

  fitScale() {
    const { width, height } = this.room();
    return Math.min(width / this.width, height / this.height) || 1;
  }

  fit() {
    const { width, height } = this.room();
    this.scale = this.fitScale();
    this.x = (width - this.width * this.scale) / 2;
    this.y = (height - this.height * this.scale) / 2;
    this.fitted = true;
    this.changed();
  }

  zoom(factor, at) {
    const { width, height } = this.room();
    const { x, y } = at ?? { x: width / 2, y: height / 2 };
    const least = Math.min(this.fitScale(), 1) / 2;
    const most = Math.max(this.fitScale() * 4, 24);
    const scale = Math.min(Math.max(this.scale * factor, least), most);
    const ratio = scale / this.scale;
    this.scale = scale;
    this.to(x - (x - this.x) * ratio, y - (y - this.y) * ratio);
  }

  pan(dx, dy) {
    this.to(this.x + dx, this.y + dy);
  }

  // A part of the picture always stays in sight.
  to(x, y) {
    const { width, height } = this.room();
    const edge = 48;
    const within = (value, size, room) =>
      Math.min(Math.max(value, Math.min(edge, room) - size), room - Math.min(edge, room));
    this.x = within(x, this.width * this.scale, width);
    this.y = within(y, this.height * this.scale, height);
    this.fitted = false;
    this.changed();
  }

  // A place on the stage in px of the image, corners on whole numbers, and back.
  inImage({ x, y }) {
    return { x: (x - this.x) / this.scale, y: (y - this.y) / this.scale };
  }

  onStage({ x, y }) {
    return { x: x * this.scale + this.x, y: y * this.scale + this.y };
  }
}
