// Command cmd prints the phrases to avoid in Markdown pages and Go files, and the sentences of pages that are too long.
//
//	go run ./internal/test/prose/cmd README.md docs/*.md
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/internal/test/prose"
)

func main() {
	sentences, long := 0, 0
	for _, file := range os.Args[1:] {
		text, err := os.ReadFile(filepath.Clean(file))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if strings.HasSuffix(file, ".go") {
			texts, err := prose.Go(file, text)
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			for _, t := range texts {
				for _, f := range prose.Phrases(t.Text) {
					fmt.Printf("%s:%d: %q: %s\n", file, t.Line+f.Line-1, strings.ReplaceAll(f.Phrase, "\n", " "), f.Instead)
				}
			}
			continue
		}
		for _, f := range prose.Phrases(prose.WithoutCode(string(text))) {
			fmt.Printf("%s:%d: %q: %s\n", file, f.Line, strings.ReplaceAll(f.Phrase, "\n", " "), f.Instead)
		}
		for _, s := range prose.Markdown(string(text)) {
			sentences++
			if n := s.Words(); n > prose.MaxWords {
				long++
				fmt.Printf("%s:%d: %d words: %s\n", file, s.Line, n, s.Text)
			}
		}
	}
	fmt.Printf("%d of %d sentences are too long\n", long, sentences)
}
