package ptx

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// token is a word of the text.
type token struct {
	kind tokenKind
	text string
	line int
}

type tokenKind uint8

const (
	endOfText   tokenKind = iota
	word                  // add, %r1, $L__BB0_1, _
	dotted                // .f32
	number                // 1, 0x1F, 0f3F800000, 1.5
	quoted                // "nounroll"
	punctuation           // one byte
)

// scanner cuts a text into tokens.
type scanner struct {
	text string
	at   int
	line int
}

func isWord(c byte) bool {
	return c == '_' || c == '$' || c == '%' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// blank skips white space and comments.
func (s *scanner) blank() error {
	for s.at < len(s.text) {
		rest := s.text[s.at:]
		switch {
		case rest[0] == '\n':
			s.line++
			s.at++
		case rest[0] == ' ' || rest[0] == '\t' || rest[0] == '\r':
			s.at++
		case strings.HasPrefix(rest, "//"):
			end := strings.IndexByte(rest, '\n')
			if end < 0 {
				end = len(rest)
			}
			s.at += end
		case strings.HasPrefix(rest, "/*"):
			end := strings.Index(rest[2:], "*/")
			if end < 0 {
				return &SyntaxError{s.line, "comment without an end"}
			}
			s.line += strings.Count(rest[:end+4], "\n")
			s.at += end + 4
		default:
			return nil
		}
	}
	return nil
}

// next is the next token.
func (s *scanner) next() (token, error) {
	if err := s.blank(); err != nil {
		return token{}, err
	}
	if s.at >= len(s.text) {
		return token{endOfText, "", s.line}, nil
	}
	start, c := s.at, s.text[s.at]
	kind := punctuation
	s.at++
	switch {
	case isDigit(c):
		kind = number
		s.number()
	case isWord(c):
		kind = word
		s.skip(isWord)
	case c == '.' && s.at < len(s.text) && isWord(s.text[s.at]):
		kind = dotted
		s.skip(func(c byte) bool { return isWord(c) || c == ':' })
	case c == '"':
		kind = quoted
		end := strings.IndexAny(s.text[s.at:], "\"\n")
		if end < 0 || s.text[s.at+end] == '\n' {
			return token{}, &SyntaxError{s.line, "quoted text without an end"}
		}
		s.at += end + 1
	}
	return token{kind, s.text[start:s.at], s.line}, nil
}

func (s *scanner) skip(in func(byte) bool) {
	for s.at < len(s.text) && in(s.text[s.at]) {
		s.at++
	}
}

// number skips the rest of a number, a decimal fraction's dot and exponent included.
func (s *scanner) number() {
	s.skip(isWord)
	if s.at+1 < len(s.text) && s.text[s.at] == '.' && isDigit(s.text[s.at+1]) {
		s.at++
		s.skip(isWord)
		if last := s.text[s.at-1]; (last == 'e' || last == 'E') && s.at < len(s.text) && (s.text[s.at] == '-' || s.text[s.at] == '+') {
			s.at++
			s.skip(isDigit)
		}
	}
}

// parseNumber is the operand that a number stands for.
func parseNumber(text string) (Operand, error) {
	lower := strings.ToLower(text)
	if bits, ok := strings.CutPrefix(lower, "0f"); ok && len(bits) == 8 {
		v, err := strconv.ParseUint(bits, 16, 32)
		return Operand{Kind: Float32, Value: v}, err
	}
	if bits, ok := strings.CutPrefix(lower, "0d"); ok && len(bits) == 16 {
		v, err := strconv.ParseUint(bits, 16, 64)
		return Operand{Kind: Float64, Value: v}, err
	}
	if strings.Contains(text, ".") {
		v, err := strconv.ParseFloat(text, 32)
		return Operand{Kind: Float32, Value: uint64(math.Float32bits(float32(v)))}, err
	}
	v, err := strconv.ParseUint(strings.TrimSuffix(lower, "u"), 0, 64)
	if err != nil || strings.Contains(text, "_") {
		return Operand{}, fmt.Errorf("%q is not a number", text)
	}
	return Operand{Kind: Immediate, Value: v}, nil
}
