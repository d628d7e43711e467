// A short, soft sound: off until asked for. It is made here, so no file has to be loaded.

const KEY = "chat.sound";
const PITCHES = [660, 880]; // Hz, one after the other
const LASTS = 0.12; // seconds each
const LOUDEST = 0.08; // of 1
const APART = 2_000; // ms; a burst of messages is one sound

export class Sound {
  #context = null;
  #playedAt = -Infinity;

  constructor({ box, storage, clock }) {
    Object.assign(this, { box, storage, clock });
    box.checked = this.#isOn;
    box.addEventListener("change", async () => {
      storage.set(KEY, box.checked || null);
      await this.#wake();
      this.message(); // to hear what it is
    });
    addEventListener("storage", ({ key }) => key === KEY && (box.checked = this.#isOn));
    // Browsers let a page make a sound only once somebody has pressed something in it.
    for (const event of ["pointerdown", "keydown"]) addEventListener(event, () => this.#wake(), { passive: true });
  }

  message() {
    const now = this.clock.now();
    if (!this.#isOn || this.#context?.state !== "running" || now - this.#playedAt < APART) return;
    this.#playedAt = now;
    PITCHES.forEach((pitch, place) => this.#tone(pitch, this.#context.currentTime + place * LASTS));
  }

  get #isOn() {
    return this.storage.get(KEY) === true;
  }

  async #wake() {
    if (!this.#isOn || !window.AudioContext) return;
    this.#context ??= new AudioContext();
    if (this.#context.state === "suspended") await this.#context.resume().catch(() => {});
  }

  #tone(pitch, at) {
    const tone = new OscillatorNode(this.#context, { frequency: pitch });
    const volume = new GainNode(this.#context, { gain: 0 });
    volume.gain.setValueAtTime(0, at);
    volume.gain.linearRampToValueAtTime(LOUDEST, at + LASTS / 6);
    volume.gain.exponentialRampToValueAtTime(LOUDEST / 100, at + LASTS);
    tone.connect(volume).connect(this.#context.destination);
    tone.start(at);
    tone.stop(at + LASTS);
  }
}
