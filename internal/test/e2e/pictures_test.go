package e2e

import (
	"bytes"
	"cmp"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/matrix-push/caddy-matrix-push/internal/test/browsertest"
)

// pictures are the pages whose pictures are in docs/images. A function opens the page, in the state that the pictures show.
var pictures = map[string]func(*testing.T) *browsertest.Page{
	"webclient":   pictureOfTheWebClient,
	"ui-overview": func(t *testing.T) *browsertest.Page { return pictureOfTheUI(t, "/", "") },
	"ui-app":      func(t *testing.T) *browsertest.Page { return pictureOfTheUI(t, "/app?app=org.example.up", "") },
	"ui-pushkey": func(t *testing.T) *browsertest.Page {
		return pictureOfTheUI(t, "/pushkeys", "27c4f6d1a0b95e8833f1d6a27704be5c9912dd0c5f7ae96b40c8d1e3f5a7b902")
	},
}

const (
	pictureFolder = "../../../docs/images"
	largest       = 80 << 10 // bytes, so a page with several pictures loads soon
)

// `make screenshots` runs this test with -update. Without that, it checks that the pictures are there, and that a page of the docs shows them.
func TestPicturesOfThePagesAreInTheDocs(t *testing.T) {
	t.Parallel()
	for name, open := range pictures {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if *update {
				takePictures(t, name, open(t))
			}
			pages, err := filepath.Glob("../../../docs/*.md")
			if err != nil {
				t.Fatal(err)
			}
			for _, width := range []int{1280, 390} {
				for _, scheme := range []string{browsertest.Light, browsertest.Dark} {
					file := pictureFile(name, width, scheme)
					content := readFile(t, filepath.Join(pictureFolder, file))
					config, err := png.DecodeConfig(bytes.NewReader(content))
					if err != nil || config.Width != width || len(content) > largest {
						t.Errorf("%s is %d pixels wide and has %d bytes: %v", file, config.Width, len(content), err)
					}
					if !slices.ContainsFunc(pages, func(page string) bool { return strings.Contains(string(readFile(t, page)), "images/"+file) }) {
						t.Errorf("no page shows %s", file)
					}
				}
			}
		})
	}
}

func pictureFile(name string, width int, scheme string) string {
	return fmt.Sprintf("%s-%d-%s.png", name, width, scheme)
}

// takePictures writes the pictures of a page.
func takePictures(t *testing.T, name string, p *browsertest.Page) {
	t.Helper()
	for _, width := range []int{1280, 390} {
		for _, scheme := range []string{browsertest.Light, browsertest.Dark} {
			p.Viewport(width, 400)
			p.Scheme(scheme)
			small, err := withFewColours(p.Screenshot())
			if err == nil {
				err = os.WriteFile(filepath.Join(pictureFolder, pictureFile(name, width, scheme)), small, 0o644)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// withFewColours returns a PNG with its most frequent colours only, which makes it much smaller.
func withFewColours(content []byte) ([]byte, error) {
	picture, err := png.Decode(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	box := picture.Bounds()
	frequency := make(map[color.Color]int)
	for y := box.Min.Y; y < box.Max.Y; y++ {
		for x := box.Min.X; x < box.Max.X; x++ {
			frequency[color.NRGBAModel.Convert(picture.At(x, y))]++
		}
	}
	colours := slices.SortedFunc(maps.Keys(frequency), func(a, b color.Color) int {
		return cmp.Or(frequency[b]-frequency[a], cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)))
	})
	few := image.NewPaletted(box, colours[:min(64, len(colours))])
	for y := box.Min.Y; y < box.Max.Y; y++ {
		for x := box.Min.X; x < box.Max.X; x++ {
			few.Set(x, y, picture.At(x, y))
		}
	}
	var encoded bytes.Buffer
	err = (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&encoded, few)
	return encoded.Bytes(), err
}

// pictureOfTheWebClient shows the page after a push, with the names that it has outside of tests.
func pictureOfTheWebClient(t *testing.T) *browsertest.Page {
	t.Helper()
	w := newWebClient(t, "", nil)
	p := w.subscribed(w.firefox())
	p.Click("#send")
	p.WaitText(pushMessage, "It works")
	p.Evaluate(`(() => {
		const names = `+string(mustMarshal(map[string]string{
		w.url:                                   "http://localhost:8080/",
		strings.TrimPrefix(w.hs.URL, "http://"): "matrix.example.org",
		strings.TrimPrefix(w.service.Origin, "https://"): "updates.push.services.mozilla.com",
		w.hs.userID(): "@bob:example.org",
	}))+`;
		const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
		while (texts.nextNode()) {
			let text = texts.currentNode.data.replace(/Received at [^“]*: /, "Received at 10:04:12 AM: ");
			for (const [name, other] of Object.entries(names)) text = text.replace(name, other);
			texts.currentNode.data = text;
		}
		document.activeElement.blur();
	})()`, nil)
	return p
}

// pictureOfTheUI shows a page of `caddy matrix-push ui` for a gateway in trouble, or what it shows about a pushkey with a hash. Some
// parts are left out.
func pictureOfTheUI(t *testing.T, path, hash string) *browsertest.Page {
	t.Helper()
	b, address := browsertest.Firefox(t), troubled(t, 0)
	p := newProcess(t).startUI(address).typed(b)
	p.Navigate(p.session.pages + path)
	if hash != "" {
		p.Type("#hash", hash)
		p.follow("[aria-labelledby=by-hash] button")
	}
	p.Evaluate(`(() => {
		for (const name of ["suspected", "refused", "xmpp", "hosts", "stores"]) document.getElementById(name)?.closest("section").remove();
		document.querySelector(".attention li:nth-child(3)")?.remove();
		document.querySelector(".as-of code").textContent = "http://localhost:2019";
		document.activeElement.blur();
	})()`, nil)
	return p.Page
}
