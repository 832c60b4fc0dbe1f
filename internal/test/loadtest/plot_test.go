package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
)

// elements returns the elements of a document by name. It fails if the document is not XML.
func elements(t *testing.T, document []byte) map[string][]xml.StartElement {
	t.Helper()
	found := make(map[string][]xml.StartElement)
	decoder := xml.NewDecoder(strings.NewReader(string(document)))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatalf("the plot is not well-formed: %v\n%s", err, document)
		}
		if e, ok := token.(xml.StartElement); ok {
			found[e.Name.Local] = append(found[e.Name.Local], e)
		}
	}
}

func TestThePlotIsWellFormedAndHasEveryPointWithinItsFrame(t *testing.T) {
	t.Parallel()
	lines := []series{
		{"gateway, p50", []point{{100, 1.5}, {500, 20}, {1200, 9000}}},
		{"floor <& p99", []point{{100, 0.2}, {500, 0}, {1200, 70}}},
	}
	found := elements(t, plot("apns & more", lines))
	if len(found["polyline"]) != len(lines) {
		t.Fatalf("there are %d lines", len(found["polyline"]))
	}
	for i, line := range found["polyline"] {
		var points []string
		for _, a := range line.Attr {
			if a.Name.Local == "points" {
				points = strings.Fields(a.Value)
			}
		}
		if len(points) != len(lines[i].points) {
			t.Errorf("line %d has %d points", i, len(points))
		}
		lastX := 0.0
		for _, p := range points {
			first, second, _ := strings.Cut(p, ",")
			x, errX := strconv.ParseFloat(first, 64)
			y, errY := strconv.ParseFloat(second, 64)
			if errX != nil || errY != nil || x <= lastX || x > width-right || y < top || y > height-bottom {
				t.Errorf("line %d has a point at %s", i, p)
			}
			lastX = x
		}
	}
}

func TestAPlotOfNothingIsAFrame(t *testing.T) {
	t.Parallel()
	for _, lines := range [][]series{nil, {{"none", nil}}, {{"zeros", []point{{0, 0}}}}, {{"one", []point{{1, 10}}}}} {
		document := plot("nothing", lines)
		elements(t, document)
		if text := string(document); strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
			t.Errorf("the text has no valid position: %s", text)
		}
	}
}
