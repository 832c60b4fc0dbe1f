package browsertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
)

// chromium controls Chromium with the DevTools Protocol. A page's id is that of its session; targets has the ids of their targets.
type chromium struct {
	*connection
	targets map[string]string
	blank   string // a page that stays open

	mu            sync.Mutex
	registrations map[string]registration // of workers, by scope
	changed       chan struct{}           // closed and replaced when registrations change
}

// registration is a worker's registration, as the domain ServiceWorker reports it.
type registration struct {
	RegistrationID string `json:"registrationId"`
	ScopeURL       string `json:"scopeURL"`
	IsDeleted      bool   `json:"isDeleted"`
}

func (c *chromium) command(profile string, s settings) (*exec.Cmd, string, error) {
	program, err := find("chromium")
	if err != nil {
		return nil, "", err
	}
	rules := []string{"MAP * ~NOTFOUND", "EXCLUDE localhost", "EXCLUDE 127.0.0.1"} // nothing but loopback is reached
	for _, host := range s.hosts {
		rules = append([]string{"MAP " + host + " 127.0.0.1"}, rules...)
	}
	arguments := []string{
		"--no-sandbox", // it refuses root, and containers refuse it; the pages are the test's own
		"--headless=new", "--remote-debugging-port=0", "--user-data-dir=" + profile, "--host-resolver-rules=" + strings.Join(rules, ", "),
		"--ignore-certificate-errors", "--no-first-run", "--no-default-browser-check", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-extensions", "--disable-gpu", "--disable-dev-shm-usage",
		"--disable-breakpad", "--hide-scrollbars", "--log-level=3", "--disable-background-timer-throttling",
		"--disable-renderer-backgrounding", "--password-store=basic",
		"about:blank",
	}
	return exec.Command(program, arguments...), "DevTools listening on ", nil //nolint:gosec,noctx // a test's own; it ends with the test
}

func (c *chromium) attach(ctx context.Context, url string, _ settings) (err error) {
	if c.connection, err = connect(ctx, url, c.note); err != nil {
		return err
	}
	c.targets = make(map[string]string)
	if err := c.call(ctx, "", "Browser.grantPermissions", map[string]any{"permissions": []string{"notifications"}}, nil); err != nil {
		return err
	}
	if c.blank, err = c.open(ctx); err != nil {
		return err
	}
	return c.call(ctx, c.blank, "ServiceWorker.enable", nil, nil)
}

// note notes the registrations of workers.
func (c *chromium) note(method string, params json.RawMessage) {
	if method != "ServiceWorker.workerRegistrationUpdated" {
		return
	}
	var updated struct{ Registrations []registration }
	if json.Unmarshal(params, &updated) != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range updated.Registrations {
		if c.registrations[r.ScopeURL] = r; r.IsDeleted {
			delete(c.registrations, r.ScopeURL)
		}
	}
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *chromium) quit(ctx context.Context) {
	if c.connection == nil {
		return
	}
	_ = c.call(ctx, "", "Browser.close", nil, nil)
	c.close()
	c.connection = nil
}

func (c *chromium) open(ctx context.Context) (string, error) {
	var created struct {
		TargetID string `json:"targetId"`
	}
	if err := c.call(ctx, "", "Target.createTarget", map[string]any{"url": "about:blank"}, &created); err != nil {
		return "", err
	}
	var attached struct {
		SessionID string `json:"sessionId"`
	}
	err := c.call(ctx, "", "Target.attachToTarget", map[string]any{"targetId": created.TargetID, "flatten": true}, &attached)
	c.targets[attached.SessionID] = created.TargetID
	return attached.SessionID, err
}

func (c *chromium) closePage(ctx context.Context, id string) error {
	return c.call(ctx, "", "Target.closeTarget", map[string]any{"targetId": c.targets[id]}, nil)
}

func (c *chromium) navigate(ctx context.Context, id, url string) error {
	var answer struct {
		ErrorText string `json:"errorText"`
	}
	err := c.call(ctx, id, "Page.navigate", map[string]any{"url": url, "transitionType": "typed"}, &answer)
	if err == nil && answer.ErrorText != "" {
		err = errors.New(answer.ErrorText)
	}
	return err
}

func (c *chromium) evaluate(ctx context.Context, id, expression string) (string, error) {
	var answer struct {
		Result           struct{ Value any }
		ExceptionDetails *struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	err := c.call(ctx, id, "Runtime.evaluate", map[string]any{
		"expression": expression, "awaitPromise": true, "returnByValue": true,
	}, &answer)
	if err == nil && answer.ExceptionDetails != nil {
		err = errors.New(answer.ExceptionDetails.Text + " " + answer.ExceptionDetails.Exception.Description)
	}
	value, _ := answer.Result.Value.(string)
	return value, err
}

func (c *chromium) click(ctx context.Context, id string, x, y float64) error {
	if err := c.call(ctx, id, "Page.bringToFront", nil, nil); err != nil {
		return err
	}
	for _, event := range []string{"mouseMoved", "mousePressed", "mouseReleased"} {
		button := map[string]any{"type": event, "x": x, "y": y, "button": "left", "clickCount": 1}
		if event == "mouseMoved" {
			button["button"], button["clickCount"] = "none", 0
		}
		if err := c.call(ctx, id, "Input.dispatchMouseEvent", button, nil); err != nil {
			return err
		}
	}
	return nil
}

var chromiumKeys = map[Key]map[string]any{
	Enter:  {"code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"},
	Escape: {"code": "Escape", "windowsVirtualKeyCode": 27},
	Space:  {"code": "Space", "windowsVirtualKeyCode": 32, "text": " "},
	Tab:    {"code": "Tab", "windowsVirtualKeyCode": 9},
}

func (c *chromium) press(ctx context.Context, id string, keys []Key) error {
	for _, key := range keys {
		event := map[string]any{"text": string(key)}
		if special, ok := chromiumKeys[key]; ok {
			event = special
		}
		if err := c.key(ctx, id, key, event); err != nil {
			return err
		}
	}
	return nil
}

// key presses a key and releases it. The event has the members that only some keys need.
func (c *chromium) key(ctx context.Context, id string, key Key, event map[string]any) error {
	down, up := map[string]any{"type": "keyDown", "key": key}, map[string]any{"type": "keyUp", "key": key}
	for name, value := range event {
		down[name] = value
		if name != "text" && name != "commands" {
			up[name] = value
		}
	}
	if err := c.call(ctx, id, "Input.dispatchKeyEvent", down, nil); err != nil {
		return err
	}
	return c.call(ctx, id, "Input.dispatchKeyEvent", up, nil)
}

func (c *chromium) selectAll(ctx context.Context, id string) error {
	return c.key(ctx, id, "a", map[string]any{"code": "KeyA", "modifiers": 2, "commands": []string{"selectAll"}})
}

func (c *chromium) viewport(ctx context.Context, id string, width, height int) error {
	return c.call(ctx, id, "Emulation.setDeviceMetricsOverride", map[string]any{
		"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false,
	}, nil)
}

func (c *chromium) scheme(ctx context.Context, id, scheme string) error {
	return c.call(ctx, id, "Emulation.setEmulatedMedia", map[string]any{
		"features": []map[string]any{{"name": "prefers-color-scheme", "value": scheme}},
	}, nil)
}

func (c *chromium) forbidScripts(ctx context.Context, id string) error {
	return c.call(ctx, id, "Emulation.setScriptExecutionDisabled", map[string]any{"value": true}, nil)
}

func (c *chromium) screenshot(ctx context.Context, id string) (string, error) {
	if err := c.call(ctx, id, "Page.bringToFront", nil, nil); err != nil { // a page in the background is not painted
		return "", err
	}
	var layout struct {
		Page struct{ Height float64 }                    `json:"cssContentSize"`
		View struct{ ClientWidth, ClientHeight float64 } `json:"cssLayoutViewport"`
	}
	if err := c.call(ctx, id, "Page.getLayoutMetrics", nil, &layout); err != nil {
		return "", err
	}
	var image struct{ Data string }
	err := c.call(ctx, id, "Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true, "clip": map[string]any{
		"x": 0, "y": 0, "scale": 1, "width": layout.View.ClientWidth, "height": max(layout.Page.Height, layout.View.ClientHeight),
	}}, &image)
	return image.Data, err
}

func (c *chromium) deny(ctx context.Context, origin string) error {
	return c.call(ctx, "", "Browser.setPermission", map[string]any{
		"permission": map[string]any{"name": "notifications"}, "setting": "denied", "origin": origin,
	}, nil)
}

func (c *chromium) push(ctx context.Context, scope, data string) error {
	for {
		c.mu.Lock()
		r, ok := c.registrations[scope]
		changed := c.changed
		c.mu.Unlock()
		if ok {
			return c.call(ctx, c.blank, "ServiceWorker.deliverPushMessage", map[string]any{
				"origin": origin(scope), "registrationId": r.RegistrationID, "data": data,
			}, nil)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("no worker has this scope: %w", ctx.Err())
		}
	}
}

func (c *chromium) clickNotification(context.Context, string) error {
	return errors.New("Chromium shows nothing that could be clicked on without a desktop")
}

func (c *chromium) opened(context.Context, string, []string) (string, error) {
	return "", errors.New("only Firefox finds pages that were opened")
}

// origin returns the origin of a URL, with a slash at its end, as Chromium wants it.
func origin(url string) string {
	scheme, rest, _ := strings.Cut(url, "://")
	host, _, _ := strings.Cut(rest, "/")
	return scheme + "://" + host + "/"
}
