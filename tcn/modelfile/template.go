package modelfile

import (
	"fmt"
	"strings"
)

// Template turns a chat into a prompt: each message is its role's prefix, its
// text, its role's suffix; then comes the assistant's prefix, which the model
// goes on from. The zero Template joins the texts as they are.
type Template struct {
	System    Affix    `json:"system"`
	User      Affix    `json:"user"`
	Assistant Affix    `json:"assistant"`
	Stop      []string `json:"stop,omitempty"` // an answer ends before the first of these
}

// Affix is what surrounds a message of one role.
type Affix struct {
	Prefix string `json:"prefix"`
	Suffix string `json:"suffix"`
}

// Message is one message of a chat.
type Message struct {
	Role string // "system", "user" or "assistant"
	Text string
}

// DefaultTemplate is given to imported models, whose files carry none: the
// plain transcript that a model over bytes needs no training on tokens for.
var DefaultTemplate = Template{
	System:    Affix{Suffix: "\n\n"},
	User:      Affix{Prefix: "User: ", Suffix: "\n"},
	Assistant: Affix{Prefix: "Assistant: ", Suffix: "\n"},
	Stop:      []string{"\nUser: "},
}

// Prompt is the chat as the model sees it. Errors: ErrManifest for a role that
// no template has.
func (t Template) Prompt(chat []Message) (string, error) {
	var prompt strings.Builder
	for i, message := range chat {
		var affix Affix
		switch message.Role {
		case "system":
			affix = t.System
		case "user":
			affix = t.User
		case "assistant":
			affix = t.Assistant
		default:
			return "", fmt.Errorf("%w: message %d has role %q, want system, user or assistant", ErrManifest, i, message.Role)
		}
		prompt.WriteString(affix.Prefix)
		prompt.WriteString(message.Text)
		prompt.WriteString(affix.Suffix)
	}
	prompt.WriteString(t.Assistant.Prefix)
	return prompt.String(), nil
}

func (t Template) validate() error {
	for _, part := range []struct{ name, text string }{
		{"template system prefix", t.System.Prefix}, {"template system suffix", t.System.Suffix},
		{"template user prefix", t.User.Prefix}, {"template user suffix", t.User.Suffix},
		{"template assistant prefix", t.Assistant.Prefix}, {"template assistant suffix", t.Assistant.Suffix},
	} {
		if err := checkText(part.name, part.text, TemplateBytes); err != nil {
			return err
		}
	}
	if len(t.Stop) > StopStrings {
		return fmt.Errorf("%w: template of %d stop strings, limit %d", ErrTooLarge, len(t.Stop), StopStrings)
	}
	for i, stop := range t.Stop {
		if stop == "" {
			return fmt.Errorf("template stop %d is empty", i)
		}
		if err := checkText(fmt.Sprintf("template stop %d", i), stop, TemplateBytes); err != nil {
			return err
		}
	}
	return nil
}
