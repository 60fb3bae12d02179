package kernel

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestAvailable(t *testing.T) {
	all := Available()
	if last := all[len(all)-1].Name; last != "portable" {
		t.Errorf("the last Set is %q, want portable", last)
	}
	if Best().Name != all[0].Name {
		t.Errorf("Best is %q, want the first, %q", Best().Name, all[0].Name)
	}
	for _, s := range all {
		got, err := Named(s.Name)
		if err != nil || got.Name != s.Name {
			t.Errorf("Named(%q): %v, %v", s.Name, got, err)
		}
		fields := reflect.ValueOf(*s)
		for i := range fields.NumField() {
			if fields.Field(i).IsZero() {
				t.Errorf("%s: %s is not set", s.Name, fields.Type().Field(i).Name)
			}
		}
	}
}

func TestNamedUnknown(t *testing.T) {
	for _, name := range []string{"", "AVX2", "sse"} {
		_, err := Named(name)
		if !errors.Is(err, ErrLevel) || !strings.Contains(err.Error(), "portable") {
			t.Errorf("Named(%q): %v, want an ErrLevel that lists what there is", name, err)
		}
	}
}
