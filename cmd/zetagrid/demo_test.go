package main

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// TestDemoServe runs demo --serve as a process of its own: it must print where
// its API is, answer there, and end cleanly on a signal.
func TestDemoServe(t *testing.T) {
	demo := exec.Command(string(installed(t)), "demo", "--serve", "--max-bytes", "4")
	stderr, err := demo.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := demo.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = demo.Process.Kill() }) // it has ended unless the test failed

	api := regexp.MustCompile(`curl (http://127\.0\.0\.1:\d+)/v1/completions`)
	lines := bufio.NewScanner(stderr)
	url := ""
	for url == "" && lines.Scan() {
		if m := api.FindStringSubmatch(lines.Text()); m != nil {
			url = m[1]
		}
	}
	if url == "" {
		t.Fatal("demo --serve ended without saying where its API is")
	}
	answer, err := http.Post(url+"/v1/completions", "application/json", strings.NewReader(`{"prompt":"Hello","max_tokens":8}`))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close() //nolint:errcheck // read to its end
	var completion struct {
		Choices []struct {
			Bytes []byte `json:"bytes"`
		} `json:"choices"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&completion); err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != http.StatusOK || len(completion.Choices) != 1 || len(completion.Choices[0].Bytes) != 8 {
		t.Errorf("status %d, answer %+v; want one choice of 8 bytes", answer.StatusCode, completion)
	}

	if err := demo.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() { // until the process has ended
	}
	if err := demo.Wait(); err != nil {
		t.Errorf("demo --serve ends with %v after SIGTERM, want status 0", err)
	}
}
