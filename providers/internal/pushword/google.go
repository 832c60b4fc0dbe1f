package pushword

import (
	"net/http"
	"regexp"
	"strings"

	"github.com/matrix-push/caddy-matrix-push/providers"
)

// Google's Web Push (fcm.googleapis.com, /fcm/send/ and /wp/) answers with a sentence in plain text, so there is no word to show. Sources:
// GetResposneBodyEnum in Chromium's components/gcm_driver/web_push_common.cc, 2019; for dead subscriptions,
// https://github.com/zaru/webpush/issues/69 and https://github.com/web-push-libs/web-push/issues/940; for the key, issue 457 there and
// public logs.
type sentence struct {
	says  string // in lower case
	whole bool   // the whole text; otherwise, the text begins with it
	means func(*said) providers.Outcome
}

var (
	googleDead = []sentence{
		{says: "push subscription has unsubscribed or expired", means: (*said).dead},
		// The endpoint itself follows. A subscription gets this answer after about 270 days without use.
		{says: "a valid push subscription endpoint should be specified in the url as such:", means: (*said).dead},
	}
	googleRefusals = []sentence{
		{says: "invalid jwt provided", whole: true, means: bad(badSignature)},
		{says: "invalid aud claim", whole: true, means: bad(badAudience)},
		{says: "aud claim in the token must include the origin", means: bad(badAudience)},
		{says: "exp claim must not be more than 24 hours", means: bad(badClock)},
		{says: "exp claim is missing", whole: true, means: bad(badClock)},
		{says: "token has expired", whole: true, means: bad(badClock)},
		{says: "sender is not authenticated", means: bad(noToken)},
		{says: "make sure the public key is base64url-encoded", means: bad(badKeyForm)},
		{says: "public key must be 65 bytes long", means: bad(badKeyForm)},
		{says: "public key must be in uncompressed form", means: bad(badKeyForm)},
		{says: "vapid public key must be on the p-256 curve", means: bad(badKeyForm)},
		{says: "public key must be on the p-256 curve", means: bad(badKeyForm)},
		{says: "public application server key in", means: bad(badKeyForm)},
		{says: "authorization header had", means: bad(noToken)},
		{says: "crypto-key header had", means: bad(noToken)},
	}
	// googleMismatches are about another key and may be anywhere in the text: it begins with the name of one of two headers.
	googleMismatches = []string{
		"do not correspond to the credentials used to create the subscription",
		"does not correspond to the sender id used to subscribe",
	}
	// googleWords are titles of HTML pages, until about 2019.
	googleWords = map[string]func(*said) providers.Outcome{
		"NotRegistered": nil, // comes with a 410, which decides
		// The token is missing, bad, or made with another key: the word does not reveal which (WebFundamentals, "Web Push: Common Issues",
		// 2017).
		"UnauthorizedRegistration": bad(badSignature),
		"InvalidTtlParameter":      func(*said) providers.Outcome { return refused() },
	}
)

func bad(hint string) func(*said) providers.Outcome {
	return func(*said) providers.Outcome { return badToken(hint) }
}

// googlePage matches one of those pages. The rest of the page adds nothing to its title.
var googlePage = regexp.MustCompile(`(?is)^<html>\s*<head>\s*<title>\s*(\w{1,64})\s*</title>\s*</head>` +
	`\s*<body[^>]*>\s*<h1>\s*(\w{1,64})\s*</h1>`)

// readGoogle reads a sentence, or the title of a page.
func readGoogle(s *said) (reading, bool) {
	if s.text == "" || !s.refuses() {
		return reading{}, false
	}
	if r, ok := readGoogleWord(s); ok {
		return r, true
	}
	text := strings.Join(strings.Fields(strings.ToLower(s.text)), " ")
	text = strings.TrimPrefix(text, "permission denied: ")
	for _, mismatch := range googleMismatches {
		if strings.Contains(text, mismatch) {
			return decided("", wrongKey()), true
		}
	}
	if s.Status == http.StatusNotFound || s.Status == http.StatusGone {
		return readSentence(s, text, googleDead)
	}
	return readSentence(s, text, googleRefusals)
}

func readSentence(s *said, text string, of []sentence) (reading, bool) {
	for _, known := range of {
		if text == known.says || strings.TrimSuffix(text, ".") == known.says || !known.whole && strings.HasPrefix(text, known.says) {
			return decided("", known.means(s)), true
		}
	}
	return reading{}, false
}

// readGoogleWord reads the title of a page, or a one-word text.
func readGoogleWord(s *said) (reading, bool) {
	word, page := s.text, googlePage.FindStringSubmatch(s.text)
	if page != nil && page[1] == page[2] {
		word = page[1]
	}
	means, known := googleWords[word]
	switch {
	case known && means != nil:
		return decided(word, means(s)), true
	case known:
		return reading{word: word}, true
	case page != nil && !s.repeats(word):
		return reading{word: providers.Word(word)}, true
	default:
		return reading{}, false
	}
}
