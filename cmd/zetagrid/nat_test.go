package main

import (
	"strings"
	"testing"
)

func TestNATClass(t *testing.T) {
	const (
		one, other   = "/ip4/192.0.2.1/udp/4001", "/ip4/192.0.2.1/udp/4002" // peers
		here, there  = "/ip4/203.0.113.5/udp/50000", "/ip4/203.0.113.5/udp/50001"
		mine, six    = "/ip4/10.0.0.2/udp/50000", "/ip6/2001:db8::2/udp/50000"
		sixOfAnother = "/ip6/2001:db8::1/udp/4001"
	)
	own := []string{"/ip4/127.0.0.1", "/ip4/10.0.0.2"}
	for _, test := range []struct {
		name    string
		list    []sighting
		answers []bool
		want    natClass
		says    string
	}{
		{"nobody", nil, nil, natUnknown, "no peer tried"},
		{"nobody tried", []sighting{{one, here}, {other, here}}, nil, natUnknown, "no peer tried"},
		{"reached", []sighting{{one, mine}}, []bool{true}, natPublic, mine},
		{"reached by one", []sighting{{one, here}, {other, here}}, []bool{false, true}, natPublic, here},
		{"firewall", []sighting{{one, mine}}, []bool{false}, natFirewall, "firewall"},
		{"one sighting", []sighting{{one, here}}, []bool{false}, natPrivate, "unknown kind"},
		{"one twice", []sighting{{one, here}, {one, here}}, []bool{false}, natPrivate, "unknown kind"},
		{"cone", []sighting{{one, here}, {other, here}}, []bool{false}, natCone, "all peers " + here},
		{"symmetric", []sighting{{one, here}, {other, there}}, []bool{false, false}, natSymmetric, here + ", " + there},
		{"another family", []sighting{{one, here}, {sixOfAnother, six}}, []bool{false}, natPrivate, "unknown kind"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := sightings{own: own, list: test.list, answers: test.answers}
			if got := s.class(); got != test.want {
				t.Fatalf("%s, want %s", got, test.want)
			}
			c := s.check()
			if !strings.Contains(c.Detail, test.says) || (c.Advice == "") != (test.want == natPublic) {
				t.Fatalf("%+v", c)
			}
		})
	}
}
