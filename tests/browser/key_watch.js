// Time a slider from the key to the first animation frame that shows the new drawing.
//
// Called with the element that takes the keys; leaves window.keyWatch with
//   answered(limit)  promise of the milliseconds of the last key, null if nothing came in `limit`
//   quiet(time)      promise that the demo has not changed for `time` milliseconds
//   stop()           takes everything back
//
// The clock starts with the key's own time stamp, so a busy page counts. It ends in the frame that
// paints the new drawing, when that frame's JavaScript is done. A drawing is any img, canvas or svg
// of the demo; where no drawing changes, other content of the demo stands in, such as its sentence.
(handle) => {
  const PICTURES = "img, canvas, svg";
  const BRUSHES = [
    "clearRect", "drawImage", "fill", "fillRect", "fillText", "putImageData", "stroke", "strokeRect", "strokeText",
  ];
  const WORDS_ALONE = 300; // ms after which words without a drawing count as the answer
  const root = handle.closest(".alexnet-demo");
  const own = handle.closest(".alexnet-slider, .widget-slider"); // moves at once, and shows nothing
  const canvas = CanvasRenderingContext2D.prototype;
  const plain = Object.fromEntries(BRUSHES.map((name) => [name, canvas[name]]));
  const painted = new MessageChannel();
  let pressed = null;
  let seen = {};
  let changed = performance.now();
  let inFrame = false; // between a frame's first callback and its painting

  painted.port1.onmessage = () => { inFrame = false; };
  function frame() {
    inFrame = true;
    painted.port2.postMessage(null);
    if (seen.drawing === undefined) requestAnimationFrame(frame);
  }

  function show(what) {
    const key = pressed;
    const done = () => {
      if (key === pressed) seen[what] ??= performance.now() - key;
    };
    if (inFrame) done();
    else requestAnimationFrame(done);
  }

  function load(image) {
    changed = performance.now();
    if (image.complete) show("drawing");
    else requestAnimationFrame(() => load(image));
  }

  function note(record) {
    const target = record.target.nodeType === Node.ELEMENT_NODE ? record.target : record.target.parentElement;
    if (!target || own?.contains(target) || target.closest("button")) return;
    const added = [...record.addedNodes].filter((node) => node.nodeType === Node.ELEMENT_NODE);
    const fresh = added.flatMap((node) => [...(node.matches(PICTURES) ? [node] : []), ...node.querySelectorAll(PICTURES)]);
    const pictures = [target.closest(PICTURES), ...fresh].filter(Boolean);
    for (const picture of pictures) {
      if (picture.tagName !== "IMG") show("drawing");
      else if (picture !== target || record.attributeName === "src") requestAnimationFrame(() => load(picture));
    }
    if (!pictures.length) show("words");
  }

  const observer = new MutationObserver((records) => {
    changed = performance.now();
    if (pressed !== null) records.forEach(note);
  });
  observer.observe(root, { subtree: true, childList: true, characterData: true, attributes: true });

  for (const name of BRUSHES) {
    canvas[name] = function brush(...given) {
      if (root.contains(this.canvas)) {
        changed = performance.now();
        if (pressed !== null) queueMicrotask(() => show("drawing")); // once the strokes are done
      }
      return plain[name].apply(this, given);
    };
  }

  function start(event) {
    if (event.target !== handle) return;
    pressed = event.timeStamp;
    seen = {};
    requestAnimationFrame(frame);
  }
  document.addEventListener("keydown", start, true);

  const wait = (time) => new Promise((resolve) => { setTimeout(resolve, time); });
  window.keyWatch = {
    async answered(limit) {
      for (;;) {
        const now = performance.now() - pressed;
        if (seen.drawing !== undefined) return seen.drawing;
        if (seen.words !== undefined && now - seen.words > WORDS_ALONE) return seen.words;
        if (now > limit) return null;
        await wait(20);
      }
    },
    async quiet(time) {
      while (performance.now() - changed < time) await wait(10);
    },
    stop() {
      document.removeEventListener("keydown", start, true);
      observer.disconnect();
      Object.assign(canvas, plain);
      pressed = null;
    },
  };
}
