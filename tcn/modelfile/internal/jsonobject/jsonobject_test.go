package jsonobject_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/zetagrid/zetagrid/tcn/modelfile/internal/jsonobject"
)

func each(text string) (names []string, err error) {
	decoder := json.NewDecoder(strings.NewReader(text))
	err = jsonobject.EachMember(decoder, func(name string) error {
		names = append(names, name)
		var value json.RawMessage
		return decoder.Decode(&value)
	})
	return names, err
}

func TestEachMember(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                        "[]",
		`{"b": 1, "a": {"a": [2]}}`: "[b a]",
		`{"a": 1} rest`:             "[a]",
	} {
		if names, err := each(text); err != nil || fmt.Sprint(names) != want {
			t.Errorf("%s: %v, %v, want %v", text, names, err, want)
		}
	}
}

func TestEachMemberRefuses(t *testing.T) {
	for _, text := range []string{
		"", "[]", "1", "null", `"a"`, "{", `{"a"`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{1:2}`,
		`{"a":1,"a":1}`, `{"a":1,"\u0061":2}`, `{"a":1]`,
	} {
		if names, err := each(text); err == nil {
			t.Errorf("%s: %v, %v, want an error", text, names, err)
		}
	}
}

func TestEachMemberKeepsTheCallersError(t *testing.T) {
	mine := errors.New("mine")
	decoder := json.NewDecoder(strings.NewReader(`{"a":1}`))
	if err := jsonobject.EachMember(decoder, func(string) error { return mine }); err != mine {
		t.Error(err)
	}
}

func ExampleEachMember() {
	decoder := json.NewDecoder(strings.NewReader(`{"a": 1, "a": 2}`))
	err := jsonobject.EachMember(decoder, func(name string) error {
		var value int
		return decoder.Decode(&value)
	})
	fmt.Println(err)
	// Output: not a JSON object with distinct names: "a" comes twice
}
