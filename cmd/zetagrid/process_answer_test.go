package main

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
)

// fourOwners starts four nodes that own the six blocks of a model among them.
func fourOwners(t *testing.T, p program, model string) []*process {
	t.Helper()
	var nodes []*process
	for _, blocks := range []string{"0-2", "2-3", "3-5", "5-6"} {
		args := slices.Concat(alone, []string{"--model", model, "--blocks", blocks, "--data", t.TempDir()})
		for _, node := range nodes {
			args = append(args, "--bootstrap", node.Addrs[0])
		}
		nodes = append(nodes, p.up(t, args...).ready(t))
	}
	covered(t, nodes...)
	return nodes
}

// sixteen are questions of each form, greedy and sampled, short and long.
func sixteen() []question {
	var questions []question
	for i := range 16 {
		q := question{
			prompt: fmt.Sprintf("Prompt %d of sixteen", i), bytes: 20 + i,
			stream: i&1 != 0, chat: i&2 != 0, seed: uint64(i),
		}
		if i&4 != 0 {
			q.temperature = 0.8
		}
		if i&8 != 0 {
			q.prompt = strings.Repeat(q.prompt+". ", i) // goes in several chunks
		}
		if i&2 == 0 {
			q.prompt += "\xff\x00" // a prompt need not be UTF-8
		}
		questions = append(questions, q)
	}
	return questions
}

// testOneAnswer: each of four processes answers in the bytes of one process
// alone, whatever the endpoint, and whatever else is asked at the same time.
func testOneAnswer(t *testing.T, p program) {
	model := p.model(t, "--seed", "5")
	nodes := fourOwners(t, p, model)
	questions := sixteen()
	want := make([]string, len(questions))
	var alone errgroup.Group
	alone.SetLimit(runtime.GOMAXPROCS(0))
	for i, q := range questions {
		alone.Go(func() error { want[i] = q.reference(t, p, model); return nil })
	}
	_ = alone.Wait() // reference reports to t

	check := func(n, i int) {
		switch got, err := questions[i].ask(t.Context(), nodes[n].API, nil); {
		case err != nil:
			t.Errorf("node %d, %v: %v", n, questions[i], err)
		case got != want[i]:
			t.Errorf("node %d, %v: %q, want %q", n, questions[i], got, want[i])
		}
	}
	for i := range questions {
		for n := range nodes {
			if !testing.Short() || n == i%len(nodes) {
				check(n, i) // one at a time
			}
		}
	}
	var together errgroup.Group
	for i := range questions {
		for n := range nodes {
			together.Go(func() error { check(n, i); return nil })
		}
	}
	_ = together.Wait() // check reports to t
}
