// Says in words why what was typed isn't a whole number that can be taken.

import { typedNumber } from "./toolkit.js";

// "" if it can. rule: from where to where it goes; counts: what it counts; small: why there is a least.
export function wholeTrouble(text, { min, max, rule, counts, small = "" }) {
  const typed = text.trim();
  const shown = typed.length > 20 ? `${typed.slice(0, 20)}…` : typed;
  const value = typedNumber(text);
  if (typed === "") return `The box is empty. Type a whole number; ${rule}.`;
  if (!Number.isFinite(value)) return `“${shown}” is not a number. Type digits only; ${rule}.`;
  if (value < 0) return `${shown} is negative. It counts ${counts}; ${rule}.`;
  if (!Number.isInteger(value)) return `${shown} is not a whole number. There are no parts of ${counts} here; ${rule}.`;
  if (value < min) return `${shown} is too small${small}; ${rule}.`;
  return value > max ? `${shown} is too large; ${rule}.` : "";
}
