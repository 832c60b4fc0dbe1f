package browsertest

// Key is a key on the keyboard: a character, or one of the constants.
type Key string

// Keys that have a name.
const (
	Enter  Key = "Enter"
	Escape Key = "Escape"
	Space  Key = " "
	Tab    Key = "Tab"
)

// Click clicks on the first element that a selector selects. It waits until a person could: until the element is shown, enabled, at
// rest, and not covered by another one.
func (p *Page) Click(selector string) {
	p.b.t.Helper()
	p.Wait(`(() => {
		const e = document.querySelector(` + quote(selector) + `);
		if (!e) throw new Error("there is no such element");
		if (e.matches(":disabled")) throw new Error("the element is disabled");
		e.scrollIntoView({block: "center", inline: "center", behavior: "instant"});
		const box = e.getBoundingClientRect();
		const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
		if (!top || !e.contains(top) && top.closest("label")?.control !== e) throw new Error("the element is not shown, or is covered");
		// Frames can't be awaited where no scripts run.
		const place = box.x + " " + box.y, now = performance.now();
		if (e.restsAt !== place) [e.restsAt, e.restsSince] = [place, now];
		const moves = document.getAnimations().some((a) => a.playState === "running" && a.effect?.target?.contains(e));
		if (moves || now - e.restsSince < 50) throw new Error("the element moves");
		return true;
	})()`)
	var at struct{ X, Y float64 }
	p.Evaluate(`(() => {
		const box = document.querySelector(`+quote(selector)+`).getBoundingClientRect();
		return {x: box.x + box.width / 2, y: box.y + box.height / 2};
	})()`, &at)
	ctx, cancel := p.b.soon()
	defer cancel()
	if err := p.b.driver.click(ctx, p.id, at.X, at.Y); err != nil {
		p.b.t.Fatal(err)
	}
}

// Type clicks on a field, and types a text in place of what is in it.
func (p *Page) Type(selector, text string) {
	p.b.t.Helper()
	p.Click(selector)
	p.Wait(`document.activeElement === document.querySelector(` + quote(selector) + `)`)
	ctx, cancel := p.b.soon()
	defer cancel()
	if err := p.b.driver.selectAll(ctx, p.id); err != nil {
		p.b.t.Fatal(err)
	}
	keys := make([]Key, 0, len(text))
	for _, character := range text {
		keys = append(keys, Key(character))
	}
	p.Press(keys...)
}

// Press presses keys, one after the other. The element that has the focus gets them.
func (p *Page) Press(keys ...Key) {
	p.b.t.Helper()
	ctx, cancel := p.b.soon()
	defer cancel()
	if err := p.b.driver.press(ctx, p.id, keys); err != nil {
		p.b.t.Fatal(err)
	}
}
