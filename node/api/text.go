package api

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// textOf is b for people: each byte that is no part of a UTF-8 character
// becomes U+FFFD. It is additive over chunks that a chunker cut.
func textOf(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	var text strings.Builder
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		text.WriteRune(r)
		b = b[size:]
	}
	return text.String()
}

// chunker cuts a stream of bytes so that no chunk splits a character. It holds
// at most three bytes back.
type chunker struct {
	held []byte
}

// push takes the next byte and returns how many bytes, from the oldest held on,
// are complete now; 0 when the character is not.
func (c *chunker) push(b byte) int {
	c.held = append(c.held, b)
	done := 0
	for utf8.FullRune(c.held[done:]) {
		_, size := utf8.DecodeRune(c.held[done:])
		done += size
		if done == len(c.held) {
			break
		}
	}
	c.held = c.held[:copy(c.held, c.held[done:])]
	return done
}

// tokenOf names one byte as OpenAI names tokens: the character itself, or, for
// what is no character alone, bytes:\xNN.
func tokenOf(b byte) string {
	if b < utf8.RuneSelf {
		return string(rune(b))
	}
	return `bytes:\x` + strconv.FormatUint(uint64(b), 16)
}

// byteOf is the inverse of tokenOf.
func byteOf(token string) (byte, bool) {
	if len(token) == 1 && token[0] < utf8.RuneSelf {
		return token[0], true
	}
	hex, found := strings.CutPrefix(token, `bytes:\x`)
	if !found || len(hex) != 2 {
		return 0, false
	}
	n, err := strconv.ParseUint(hex, 16, 8)
	return byte(n), err == nil && n >= utf8.RuneSelf
}
