package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"
)

// decodeJSON decodes a request body into v, after checkJSON. Unknown fields are
// ignored.
func decodeJSON(body []byte, v any) *Error {
	if e := checkJSON(body); e != nil {
		return e
	}
	err := json.Unmarshal(body, v)
	var kind *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &kind):
		if kind.Field == "" {
			return refusal(http.StatusBadRequest, codeValue, "", "the body must be a JSON object, not a JSON %s", kind.Value)
		}
		// The path names the embedded struct too, which no caller knows.
		return badValue(strings.TrimPrefix(kind.Field, "settings."), "cannot be a JSON %s", kind.Value)
	}
	return refusal(http.StatusBadRequest, codeJSON, "", "the body is not valid JSON: %s", err)
}

// checkJSON refuses what encoding/json would accept but change or recurse into:
// bytes that are no UTF-8 and lone surrogates, which it replaces by U+FFFD and
// so would answer another prompt than the one sent, and nesting past JSONDepth.
func checkJSON(body []byte) *Error {
	if !utf8.Valid(body) {
		return refusal(http.StatusBadRequest, codeJSON, "",
			"the body is not UTF-8; a prompt of other bytes goes as an array of integers")
	}
	depth, inString := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case inString && c == '\\':
			skip, ok := escape(body[i:])
			if !ok {
				return refusal(http.StatusBadRequest, codeJSON, "",
					"half of a surrogate pair at byte %d of the body is no character", i)
			}
			i += skip - 1
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > JSONDepth {
				return refusal(http.StatusBadRequest, codeJSON, "",
					"the body nests deeper than %d", JSONDepth)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}

// escape measures the escape at the start of s, a surrogate pair as one. ok is
// false for half a pair. Malformed escapes are left to encoding/json.
func escape(s []byte) (size int, ok bool) {
	unit, isUnit := codeUnit(s)
	switch {
	case !isUnit:
		return 2, true
	case unit < 0xD800 || unit > 0xDFFF:
		return 6, true
	case unit >= 0xDC00:
		return 0, false
	}
	low, isUnit := codeUnit(s[6:])
	return 12, isUnit && low >= 0xDC00 && low <= 0xDFFF
}

// codeUnit reads \uXXXX at the start of s.
func codeUnit(s []byte) (uint64, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(s[2:6]), 16, 16)
	return n, err == nil
}

// texts decodes a field that is one text or a list of at most limit texts, each
// a string or an array of integers 0–255. An array of integers alone is one
// text. Absent and null are none.
func texts(raw json.RawMessage, param string, limit int) ([][]byte, *Error) {
	if isNull(raw) {
		return nil, nil
	}
	if !isList(raw) {
		one, e := text(raw, param)
		if e != nil || one == nil {
			return [][]byte{}, e
		}
		return [][]byte{one}, nil
	}
	many := [][]byte{}
	e := each(raw, param, limit, func(element json.RawMessage) *Error {
		one, e := text(element, param)
		many = append(many, one)
		return e
	})
	return many, e
}

// text decodes a string or an array of integers 0–255; nil is the empty array.
func text(raw json.RawMessage, param string) ([]byte, *Error) {
	switch {
	case len(raw) > 0 && raw[0] == '"':
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return nil, badField(codeJSON, param, "%s", err)
		}
		return []byte(s), nil
	case len(raw) > 0 && raw[0] == '[':
		return integers(raw, param)
	}
	return nil, badValue(param, "must be a string or an array of integers 0 to 255")
}

// integers decodes a JSON array of bytes without an allocation per element: a
// body of RequestBytes may hold three million.
func integers(raw json.RawMessage, param string) ([]byte, *Error) {
	inner := bytes.TrimSpace(bytes.TrimSuffix(bytes.TrimPrefix(raw, []byte("[")), []byte("]")))
	if len(inner) == 0 {
		return nil, nil
	}
	b := make([]byte, 0, bytes.Count(inner, []byte(","))+1)
	for element := range bytes.SplitSeq(inner, []byte(",")) {
		n, err := strconv.ParseUint(string(bytes.TrimSpace(element)), 10, 8)
		if err != nil {
			return nil, badValue(param, "element %d must be an integer 0 to 255: a token is a byte", len(b))
		}
		b = append(b, byte(n))
	}
	return b, nil
}

// each calls visit for every element of a JSON array, and refuses the first
// past limit before it is decoded.
func each(raw json.RawMessage, param string, limit int, visit func(json.RawMessage) *Error) *Error {
	list := json.NewDecoder(bytes.NewReader(raw))
	if _, err := list.Token(); err != nil {
		return badField(codeJSON, param, "%s", err)
	}
	for n := 0; list.More(); n++ {
		if n == limit {
			return badValue(param, "at most %d", limit)
		}
		var element json.RawMessage
		if err := list.Decode(&element); err != nil {
			return badField(codeJSON, param, "%s", err)
		}
		if e := visit(element); e != nil {
			return e
		}
	}
	return nil
}

// isList reports whether raw is an array of anything but numbers.
func isList(raw json.RawMessage) bool {
	if len(raw) == 0 || raw[0] != '[' {
		return false
	}
	inner := bytes.TrimLeft(raw[1:], " \t\r\n")
	return len(inner) > 0 && (inner[0] < '0' || inner[0] > '9') && inner[0] != '-' && inner[0] != ']'
}

// isNull reports whether a field is absent or null.
func isNull(raw json.RawMessage) bool {
	return len(raw) == 0 || string(raw) == "null"
}
