package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
)

// The plot's measures, in pixels.
const (
	width, height             = 800, 480
	left, right, top, bottom  = 70, 20, 40, 60
	plotWidth, plotHeight     = width - left - right, height - top - bottom
	legendX, legendY, lineGap = left + 15, top + 15, 18
)

// colours are the colours of the lines: one hue for each server, lighter for the median.
var colours = []string{"#93c5fd", "#1d4ed8", "#fdba74", "#c2410c"}

// plot draws the lines as an SVG: rates from left to right, latencies upwards in powers of ten.
func plot(title string, lines []series) []byte {
	low, high, most := bounds(lines)
	x := func(rate float64) float64 { return left + plotWidth*rate/most }
	y := func(latency float64) float64 {
		return top + plotHeight*(1-(math.Log10(max(latency, low))-math.Log10(low))/(math.Log10(high)-math.Log10(low)))
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/>`+"\n", width, height)
	text(&b, width/2, top-15, "middle", title)
	text(&b, left+plotWidth/2, height-15, "middle", "notifications a second")
	text(&b, left-10, top-10, "end", "ms")
	for latency := low; latency <= high*1.001; latency *= 10 {
		fmt.Fprintf(&b, `<path d="M%d %.1fh%d" stroke="#ddd"/>`+"\n", left, y(latency), plotWidth)
		text(&b, left-8, y(latency)+4, "end", fmt.Sprintf("%g", latency))
	}
	for i := range 6 {
		rate := most * float64(i) / 5
		fmt.Fprintf(&b, `<path d="M%.1f %dv%d" stroke="#eee"/>`+"\n", x(rate), top, plotHeight)
		text(&b, x(rate), top+plotHeight+18, "middle", fmt.Sprintf("%.0f", rate))
	}
	for i, line := range lines {
		colour := colours[i%len(colours)]
		fmt.Fprintf(&b, `<polyline fill="none" stroke="%s" stroke-width="2" points="`, colour)
		for _, p := range line.points {
			fmt.Fprintf(&b, "%.1f,%.1f ", x(p.rate), y(p.latency))
		}
		b.WriteString(`"/>` + "\n")
		at := legendY + i*lineGap
		fmt.Fprintf(&b, `<path d="M%d %dh24" stroke="%s" stroke-width="2"/>`+"\n", legendX, at, colour)
		text(&b, legendX+30, float64(at)+4, "start", line.name)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// text writes a text.
func text(b *bytes.Buffer, x, y float64, anchor, words string) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="%s">`, x, y, anchor)
	_ = xml.EscapeText(b, []byte(words)) // writing into a buffer cannot fail
	b.WriteString("</text>\n")
}

// bounds returns the powers of ten around the latencies, and the highest rate. It also works for a line without points, or with only zeros.
func bounds(lines []series) (low, high, most float64) {
	least, greatest := math.Inf(1), 0.0
	for _, line := range lines {
		for _, p := range line.points {
			if p.latency > 0 {
				least, greatest = min(least, p.latency), max(greatest, p.latency)
			}
			most = max(most, p.rate)
		}
	}
	if greatest == 0 {
		least, greatest = 1, 1
	}
	low, high = math.Pow(10, math.Floor(math.Log10(least))), math.Pow(10, math.Ceil(math.Log10(greatest)))
	if low == high {
		high *= 10
	}
	return low, high, max(most, 1)
}
