// Package jsonobject walks a JSON object member by member. encoding/json takes
// the last of repeated names; files whose CID or meaning matters must not have
// any.
package jsonobject

import (
	"encoding/json"
	"errors"
	"fmt"
)

// ErrObject: what comes next is not a JSON object with distinct names.
var ErrObject = errors.New("not a JSON object with distinct names")

// EachMember calls value for each member of the object that comes next, with
// decoder standing before the member's value, which value must read. It returns
// value's errors as they are. Errors of its own: ErrObject.
func EachMember(decoder *json.Decoder, value func(name string) error) error {
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return errors.Join(ErrObject, err)
	}
	seen := make(map[string]bool)
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return errors.Join(ErrObject, err)
		}
		name, ok := token.(string)
		if !ok {
			return fmt.Errorf("%w: %v is no name", ErrObject, token)
		}
		if seen[name] {
			return fmt.Errorf("%w: %q comes twice", ErrObject, name)
		}
		seen[name] = true
		if err := value(name); err != nil {
			return err
		}
	}
	if _, err := decoder.Token(); err != nil {
		return errors.Join(ErrObject, err)
	}
	return nil
}
