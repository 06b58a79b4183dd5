// Rates from counters that are read again and again.

const SMOOTH_SECONDS = 3;

/** Counters by name with their latest rates per second. */
export class Rates {
  #samples = [];

  /** Takes the counters of a moment, in milliseconds since `lbd` started. */
  record(at, counters) {
    const last = this.#samples.at(-1);
    if (last && at < last.at) this.#samples = []; // lbd was started again.
    if (last && at === last.at) return;
    this.#samples.push({ at, counters });
    while (this.#samples.length > 2 && at - this.#samples[1].at >= SMOOTH_SECONDS * 1000) this.#samples.shift();
  }

  /** The rate of a counter; 0 while it is not known. */
  of(name) {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    if (!first || first === last) return 0;
    const [before, after] = [first.counters.get(name), last.counters.get(name)];
    if (before === undefined || after === undefined || after < before) return 0;
    return ((after - before) * 1000) / (last.at - first.at);
  }
}

const FIELDS = ["packets_in", "bytes_in", "packets_out", "bytes_out", "flows"];

/** The counters of an overview: of services, of backends, of drops and of all services together. */
export function counters(overview) {
  const found = new Map();
  const take = (key, traffic) => FIELDS.forEach((field) => found.set(`${key}|${field}`, traffic[field]));
  overview.stats.services.forEach((stats) => take(stats.service, stats));
  overview.stats.backends.forEach((stats) => take(`${stats.service}/${stats.backend}`, stats));
  take("", overview.totals);
  overview.drops.forEach((drop) => found.set(`drop ${drop.reason}`, drop.packets));
  found.set("drops", overview.dropped);
  return found;
}
