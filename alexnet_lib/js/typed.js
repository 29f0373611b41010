// Says in words why a number typed into a slider's box isn't taken.

import { make, say } from "./toolkit.js";

// A line that is there only while something is wrong.
export function complaint() {
  const element = make("p", { class: "alexnet-sentence alexnet-error", role: "alert" });
  element.hidden = true;
  return {
    element,
    update(text) {
      say(element, text);
      element.hidden = !text;
    },
  };
}

// The number that was typed; NaN for anything else.
export function typedNumber(text) {
  const plain = text.trim().replace(",", ".").replace("−", "-");
  return plain === "" ? NaN : Number(plain);
}

// Watch a slider's box. problem(value) says what is wrong with a number, "" if nothing is.
export function explain(dial, problem, line) {
  const box = dial.element.querySelector("input[type=text]");
  const look = () => {
    const said = problem(typedNumber(box.value));
    line.update(said && `${said} Nothing was changed.`);
    box.toggleAttribute("aria-invalid", Boolean(said));
  };
  box.addEventListener("change", look);
  box.addEventListener("keydown", (event) => event.key === "Enter" && look());
  dial.element.querySelector("input[type=range]").addEventListener("input", () => line.update(""));
}
