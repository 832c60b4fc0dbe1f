// Package prose finds phrases in English texts that are hard to read, and sentences that are too long.
package prose

import (
	"regexp"
	"strings"
	"unicode"
)

// MaxWords is how many words a sentence should have at most.
const MaxWords = 25

// Finding is a phrase to replace, with what to write instead.
type Finding struct {
	Line            int
	Phrase, Instead string
}

// phrase is a phrase to avoid. A match that is part of a match of unless is fine.
type phrase struct {
	pattern, unless *regexp.Regexp
	instead         string
}

func avoid(pattern, unless, instead string) phrase {
	p := phrase{pattern: regexp.MustCompile(`(?i)\b(?:` + pattern + `)\b`), instead: instead}
	if unless != "" {
		p.unless = regexp.MustCompile(`(?i)\b(?:` + unless + `)\b`)
	}
	return p
}

// phrases are frequent phrases of the project's earlier texts. Readers had to read them twice. Each names what to write instead.
var phrases = []phrase{
	avoid(`(?:says|say|tells|tell|told) whether`, "", "reports whether"),
	avoid(`(?:is|are|was|were|be|been|being) told(?: of)?`, "", "is reported, is logged, is shown; or who tells whom"),
	avoid(`told of`, "", "reported, logged, shown"),
	avoid(`alone`, `stand-?alone|Alone returns`, "only"),
	avoid(`mend(?:s|ed|ing)?`, "", "fix"),
	avoid(`anew`, "", "again, from scratch"),
	avoid(`rather`, `rather than|would rather`, "probably, almost certainly"),
	avoid(`is none|are none`, `there (?:is|are) none`, "is not one"),
	avoid(`(?:is|are|was|were) no [a-z]+`, `(?:there|here|which) (?:is|are|was|were) no [a-z]+|(?:is|are|was|were) no (?:longer|more|later|other|older|newer|larger|smaller)`,
		"is not a"),
	avoid(`what waits|what is waiting|what there is to`, "", "pending pushes, or what else it is"),
	avoid(`costs? no [a-z]+ (?:its|any|a)[a-z]*`, "", "does not affect, does not wait for"),
	avoid(`he|him|his|himself`, "", "they, their"),
	avoid(`so that`, "", "so"),
	avoid(`st(?:and|ands|ood) in`, `stands? in for|stands? in front`, "appears in, is in"),
	avoid(`(?:has|have|had) to be`, "", "must be"),
	avoid(`look(?:s|ed|ing)? after`, "", "manage"),
	avoid(`of (?:its|their|your|our|his) own`, `of (?:its|their|your|our) own [a-z]+`, "its own …, a separate …"),
	avoid(`what (?:it|they|he) (?:says?|said)`, "", "name it: the answer, the reason"),
	avoid(`that is so|as it is so|is so for`, "", "name it"),
	avoid(`but for`, "", "except"),
	avoid(`without anybody's`, "", "automatically"),
}

// Phrases returns the phrases of a text that should be replaced.
func Phrases(text string) (found []Finding) {
	for _, p := range phrases {
		for _, at := range p.pattern.FindAllStringIndex(text, -1) {
			if p.unless != nil && excused(p.unless, text, at) {
				continue
			}
			found = append(found, Finding{1 + strings.Count(text[:at[0]], "\n"), text[at[0]:at[1]], p.instead})
		}
	}
	return found
}

// excused reports whether a match is part of a longer phrase that is fine.
func excused(unless *regexp.Regexp, text string, at []int) bool {
	const around = 20
	from, to := max(0, at[0]-around), min(len(text), at[1]+around)
	for _, fine := range unless.FindAllStringIndex(text[from:to], -1) {
		if from+fine[0] < at[1] && at[0] < from+fine[1] {
			return true
		}
	}
	return false
}

// Sentence is a sentence of a page's prose. Code, tables and headings are not prose.
type Sentence struct {
	Line int
	Text string
}

// Words counts the words, separated by spaces. Code spans and the texts of links count too.
func (s Sentence) Words() int { return len(strings.FieldsFunc(s.Text, unicode.IsSpace)) }

var (
	listItem       = regexp.MustCompile(`^\s*(?:[-*]|\d+\.)\s+`)
	link           = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	linkDefinition = regexp.MustCompile(`^\[[^\]]+\]: `)
	sentenceEnd    = regexp.MustCompile(`[.!?](?:["')*_]*)(?:\s+|$)`)
	abbreviated    = regexp.MustCompile(`(?:\b(?:e\.g|i\.e|cf|vs|No|etc)\.)\s*$`)
)

// Markdown returns the sentences of a page. Each item of a list is at least one.
func Markdown(page string) (sentences []Sentence) {
	var paragraph strings.Builder
	began, fenced := 0, false
	flush := func() {
		for _, text := range split(link.ReplaceAllString(paragraph.String(), "$1")) {
			sentences = append(sentences, Sentence{began, text})
		}
		paragraph.Reset()
	}
	for i, line := range strings.Split(page, "\n") {
		trimmed := strings.TrimSpace(line)
		if strings.HasPrefix(trimmed, "```") {
			flush()
			fenced = !fenced
			continue
		}
		switch {
		case fenced:
			continue
		case trimmed == "", strings.HasPrefix(trimmed, "#"), strings.HasPrefix(trimmed, "|"), strings.HasPrefix(trimmed, "<"),
			linkDefinition.MatchString(trimmed):
			flush()
			continue
		case listItem.MatchString(line):
			flush()
			trimmed = listItem.ReplaceAllString(line, "")
		}
		if paragraph.Len() == 0 {
			began = i + 1
		} else {
			paragraph.WriteByte(' ')
		}
		paragraph.WriteString(trimmed)
	}
	flush()
	return sentences
}

func split(paragraph string) (texts []string) {
	from := 0
	for _, end := range sentenceEnd.FindAllStringIndex(paragraph, -1) {
		if abbreviated.MatchString(paragraph[from:end[1]]) || strings.Count(paragraph[from:end[1]], "`")%2 == 1 {
			continue
		}
		if text := strings.TrimSpace(paragraph[from:end[1]]); text != "" {
			texts = append(texts, text)
		}
		from = end[1]
	}
	if text := strings.TrimSpace(paragraph[from:]); text != "" {
		texts = append(texts, text)
	}
	return texts
}

// WithoutCode returns a page without its code blocks and code spans. The line numbers stay the same.
func WithoutCode(page string) string {
	var out strings.Builder
	fenced := false
	for _, line := range strings.Split(page, "\n") {
		fence := strings.HasPrefix(strings.TrimSpace(line), "```")
		if !fenced && !fence {
			out.WriteString(codeSpan.ReplaceAllString(line, "…"))
		}
		if fence {
			fenced = !fenced
		}
		out.WriteByte('\n')
	}
	return out.String()
}

var (
	codeSpan = regexp.MustCompile("`[^`]*`")
	quoted   = regexp.MustCompile("`[^`]*`|\"[^\"]*\"|“[^”]*”")
)
