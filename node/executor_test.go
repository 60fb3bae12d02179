package node

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/zetagrid/zetagrid/tcn"
)

// namedState and namedStage are told apart by their names alone.
type namedState struct {
	tcn.State
	name string
}

type namedStage struct {
	tcn.Stage
	name string
}

// TestTakeBatch: what goes together, by "state:rows" or "stage/state:rows".
func TestTakeBatch(t *testing.T) {
	for _, c := range []struct{ name, queue, batch, rest string }{
		{"one job", "a:1", "a:1", ""},
		{"bytes of all sessions", "a:1 b:1 c:4", "a:1 b:1 c:4", ""},
		{"chunks up to the limit", "a:64 b:64 c:64 d:64", "a:64 b:64 c:64 d:64", ""},
		{"one chunk past the limit", "a:64 b:64 c:64 d:64 e:5", "a:64 b:64 c:64 d:64", "e:5"},
		{"a byte past the limit", "a:64 b:64 c:64 d:63 e:1 f:1", "a:64 b:64 c:64 e:1 f:1", "d:63"},
		{"bytes before chunks", "a:250 b:64 c:4 d:2 e:1", "a:250 c:4 d:2", "b:64 e:1"},
		{"a job larger than a batch", "a:300 b:1", "a:300", "b:1"},
		{"the oldest goes first", "a:200 b:200 c:1", "a:200 c:1", "b:200"},
		{"one job of a state, its first", "a:1 a:1 b:1 a:1 b:2", "a:1 b:1", "a:1 a:1 b:2"},
		{"a state's first job is a chunk", "b:1 a:64 a:1", "b:1 a:64", "a:1"},
		{"a state's byte waits behind its chunk", "b:250 a:64 a:1", "b:250", "a:64 a:1"},
		{"one stage", "x/a:1 y/b:1 x/c:1", "x/a:1 x/c:1", "y/b:1"},
	} {
		stages := map[string]tcn.Stage{}
		states := map[string]tcn.State{}
		var queue []*job
		names := map[*job]string{}
		for _, word := range strings.Fields(c.queue) {
			place, count, _ := strings.Cut(word, ":")
			stage, _, found := strings.Cut(place, "/")
			if !found {
				stage = ""
			}
			if stages[stage] == nil {
				stages[stage] = &namedStage{name: stage}
			}
			if states[place] == nil {
				states[place] = &namedState{name: place}
			}
			j := &job{stage: stages[stage], work: tcn.Work{State: states[place]}}
			if _, err := fmt.Sscan(count, &j.work.Rows.Count); err != nil {
				t.Fatal(err)
			}
			names[j] = word
			queue = append(queue, j)
		}
		batch, rest := takeBatch(queue)
		said := func(jobs []*job) string {
			var words []string
			for _, j := range jobs {
				words = append(words, names[j])
			}
			return strings.Join(words, " ")
		}
		if said(batch) != c.batch || said(rest) != c.rest {
			t.Errorf("%s: %s is cut into %q and %q, want %q and %q", c.name, c.queue, said(batch), said(rest), c.batch, c.rest)
		}
	}
}

// TestClosedExecutor: what comes after Close gets an error at once.
func TestClosedExecutor(t *testing.T) {
	e := newExecutor()
	e.close()
	j := &job{results: make(chan *job, 1)}
	if !e.submit(j) || !errors.Is(j.work.Err, errExecutorClosed) {
		t.Errorf("error %v", j.work.Err)
	}
}
