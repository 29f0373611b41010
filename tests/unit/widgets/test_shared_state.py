"""A lab's state, shared with Python: what was changed last in the page stays."""

from __future__ import annotations

from javascript import in_node, needs_node

# what a widget's model does, and a kernel that answers when `echo` is called, as late as one likes
MODEL = """
    const listeners = {};
    const model = {
      held: { size: 5, values: [1, 2] }, sent: [],
      get: (name) => model.held[name],
      set(name, value) {
        if (JSON.stringify(model.held[name]) === JSON.stringify(value)) return;
        model.held[name] = value;
        for (const listener of listeners[`change:${name}`] ?? []) listener();
      },
      save_changes() { model.sent.push({ ...model.held }); },
      on: (event, listener) => (listeners[event] ??= []).push(listener),
      off(event, listener) { listeners[event] = listeners[event].filter((f) => f !== listener); },
      echo(values) {
        for (const [name, value] of Object.entries(values)) model.set(name, value);
      },
    };
    const frames = [];
    globalThis.requestAnimationFrame = (callback) => frames.push(callback);
    globalThis.cancelAnimationFrame = () => { frames.length = 0; }; // a lab has one at a time
    const draw = () => { for (const callback of frames.splice(0)) callback(); };
    const pause = (ms) => new Promise((done) => { setTimeout(done, ms); });
    const drawn = [];
    const state = share(model, ["size", "values"], () => drawn.push(state.get()));
"""


def play(steps: str) -> object:
    """Run steps that end in `return`, with the model, the state and what was drawn at hand."""
    return in_node(f"await (async () => {{ {MODEL} {steps} }})()", None, "toolkit.js")


@needs_node
def test_an_answer_to_an_earlier_value_does_not_undo_a_later_one():
    drawn, held, sent = play("""
        state.set({ size: 7 });
        await pause(200);
        state.set({ size: 9 });
        draw();
        model.echo({ size: 7 });  // the kernel was busy, and takes the 7 only now
        draw();
        await pause(200);
        return [drawn.map(({ size }) => size), model.held.size, model.sent.map(({ size }) => size)];
    """)
    assert drawn == [9, 9] and held == 9 and sent == [7, 9]


@needs_node
def test_what_comes_from_python_is_drawn_and_can_be_changed_again():
    drawn, held = play("""
        state.set({ size: 7 });
        model.echo({ values: [3, 4] });  // of another part of the state: taken at once
        draw();
        await pause(200);
        model.echo({ size: 3 });  // after everything was sent: taken
        draw();
        return [drawn, model.held];
    """)
    assert drawn == [{"size": 7, "values": [3, 4]}, {"size": 3, "values": [3, 4]}]
    assert held == {"size": 3, "values": [3, 4]}


@needs_node
def test_lists_are_kept_too_and_a_closed_lab_hears_nothing():
    drawn, sent = play("""
        state.set({ values: [5, 6] });
        model.echo({ values: [1, 2, 3] });
        draw();
        await pause(200);
        state.close();
        model.echo({ values: [0] });
        draw();
        return [drawn.map(({ values }) => values), model.sent.map(({ values }) => values)];
    """)
    assert drawn == [[5, 6]] and sent == [[5, 6]]
