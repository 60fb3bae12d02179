package api

import (
	"bytes"
	"fmt"
	"strings"
)

// Template says how a chat becomes a prompt: the text of one message, in which
// {role} and {content} stand for the message's own, repeated for every message.
// The prompt ends with the beginning of the assistant's message, up to
// {content}. It comes from a Model manifest, which a stranger may have written,
// so it is data and not a program.
type Template string

// DefaultTemplate is used when a Model has none.
const DefaultTemplate Template = "{role}: {content}\n"

const (
	roleMark    = "{role}"
	contentMark = "{content}"
)

// Message is one turn of a chat.
type Message struct {
	Role    string // system, developer, user or assistant
	Content string
}

// split cuts the template at {content}.
func (t Template) split() (head, tail string, err error) {
	if t == "" {
		t = DefaultTemplate
	}
	if len(t) > TemplateBytes {
		return "", "", fmt.Errorf("the Model's template has %d bytes, the limit is %d", len(t), TemplateBytes)
	}
	head, tail, found := strings.Cut(string(t), contentMark)
	if !found || strings.Contains(tail, contentMark) {
		return "", "", fmt.Errorf("the Model's template must hold %s once", contentMark)
	}
	return head, tail, nil
}

// Prompt renders a chat; nothing in a message is taken for a mark. It stops
// with an error as soon as the prompt passes PromptBytes.
func (t Template) Prompt(chat []Message) ([]byte, error) {
	head, tail, err := t.split()
	if err != nil {
		return nil, err
	}
	var prompt bytes.Buffer
	for _, m := range append(chat[:len(chat):len(chat)], Message{Role: "assistant"}) {
		prompt.WriteString(strings.ReplaceAll(head, roleMark, m.Role))
		prompt.WriteString(m.Content)
		prompt.WriteString(strings.ReplaceAll(tail, roleMark, m.Role))
		if prompt.Len() > PromptBytes+TemplateBytes {
			return nil, tooLong(prompt.Len())
		}
	}
	prompt.Truncate(prompt.Len() - len(strings.ReplaceAll(tail, roleMark, "assistant")))
	return prompt.Bytes(), nil
}

// Stop is the sequence that ends the assistant's turn: what follows {content},
// and if that is only white space, which a reply may hold, also the head of the
// user's next turn. It is empty when the template tells turns apart by nothing.
func (t Template) Stop() []byte {
	head, tail, err := t.split()
	if err != nil {
		return nil
	}
	stop := strings.ReplaceAll(tail, roleMark, "assistant")
	if strings.TrimSpace(stop) == "" {
		stop += strings.ReplaceAll(head, roleMark, "user")
	}
	if strings.TrimSpace(stop) == "" || len(stop) > StopBytes {
		return nil
	}
	return []byte(stop)
}
