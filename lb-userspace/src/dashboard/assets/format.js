// How figures are written.

const STEPS = ["", " k", " M", " G", " T", " P"];

/** A figure with three digits that count, such as `12.3 k`. */
export function short(value) {
  let step = 0;
  while (value >= 999.5 && step < STEPS.length - 1) {
    value /= 1000;
    step += 1;
  }
  const digits = step === 0 && Number.isInteger(value) ? 0 : value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return value.toFixed(digits) + STEPS[step];
}

/** A rate; less than one in twenty seconds is none. */
export function rate(value, unit) {
  const figure = short(value < 0.05 ? 0 : value);
  const space = unit !== "" && /\d$/.test(figure) ? " " : "";
  return `${figure}${space}${unit}/s`;
}

/** A span of time in its two largest units. */
export function span(seconds) {
  const [days, hours, minutes] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  if (days > 0) return `${days} d ${hours} h`;
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min` : `${Math.floor(seconds)} s`;
}

/** An address with a port, if it has one. */
export function endpoint(address, port) {
  const host = address.includes(":") ? `[${address}]` : address;
  return port === 0 ? address : `${host}:${port}`;
}

/** Sets the text of an element, and its exact value for those who look closer. */
export function show(element, text, exact) {
  if (element.textContent !== text) element.textContent = text;
  if (exact !== undefined) {
    element.dataset.value = exact;
    element.title = String(exact);
  }
}

/** A new element with a class, a text and children. */
export function make(name, className, text, children = []) {
  const element = document.createElement(name);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  element.append(...children);
  return element;
}

/** A new element of a drawing. */
export function draw(name, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}
