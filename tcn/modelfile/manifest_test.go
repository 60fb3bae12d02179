package modelfile_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/zetagrid/zetagrid/tcn"
	"github.com/zetagrid/zetagrid/tcn/modelfile"
)

// tinyConfig is two blocks, the last of one layer.
var tinyConfig = tcn.Config{
	Cell: tcn.CellRelease, VocabSize: 256, DModel: 4, DFF: 6, Layers: 3, LayersPerBlock: 2,
	KernelSize: 3, Dilations: []int{1, 2}, MaxPositions: 8, RMSEps: 1e-6, State: tcn.F32, Boundary: tcn.F32,
}

func link(codec uint64, text string) modelfile.Link {
	c, err := cid.NewPrefixV1(codec, multihash.SHA2_256).Sum([]byte(text))
	if err != nil {
		panic(err)
	}
	return c
}

func file(text string) modelfile.Link       { return link(cid.Raw, text) }
func manifestOf(text string) modelfile.Link { return link(cid.DagJSON, text) }

func genome() modelfile.Genome {
	return modelfile.NewGenome(tinyConfig, []modelfile.Link{file("a"), link(cid.DagProtobuf, "b")})
}

func soul() modelfile.Soul {
	ends := file("ends")
	return modelfile.Soul{
		Kind: modelfile.KindSoul, Version: modelfile.Version, Genome: manifestOf("g"), Rank: 2,
		Slices: []modelfile.Link{file("s"), file("t")}, Small: []modelfile.Link{file("m"), file("n")}, Ends: &ends,
		Provenance: map[string]string{"made by": "a test", "html": "<&>"},
	}
}

func sum() modelfile.Soul {
	return modelfile.Soul{
		Kind: modelfile.KindSoul, Version: modelfile.Version, Genome: manifestOf("g"),
		Sum: []modelfile.Weighted{{Soul: manifestOf("s"), Weight: 0.5}, {Soul: manifestOf("t"), Weight: -1}},
	}
}

func model() modelfile.Model {
	s := manifestOf("s")
	return modelfile.Model{
		Kind: modelfile.KindModel, Version: modelfile.Version, Genome: manifestOf("g"), Ends: file("e"),
		Small: []modelfile.Link{file("m"), file("n")}, Soul: &s,
		Template: modelfile.DefaultTemplate, Tokenizer: modelfile.ByteTokenizer,
	}
}

// roundTrip encodes a manifest, decodes it and compares.
func roundTrip[M interface {
	Encode() ([]byte, cid.Cid, error)
}](t *testing.T, m M, decode func([]byte) (M, error)) []byte {
	t.Helper()
	data, c, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := decode(data)
	if err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	same := cmp.Comparer(func(a, b cid.Cid) bool { return a == b })
	if diff := cmp.Diff(m, again, same); diff != "" {
		t.Error(diff)
	}
	if digest := sha256.Sum256(data); !bytes.HasSuffix(c.Bytes(), digest[:]) || c.Prefix().Codec != 0x0129 || c.Version() != 1 {
		t.Errorf("CID %s is not of the bytes", c)
	}
	return data
}

func TestManifestRoundTrip(t *testing.T) {
	roundTrip(t, genome(), modelfile.DecodeGenome)
	roundTrip(t, soul(), modelfile.DecodeSoul)
	roundTrip(t, sum(), modelfile.DecodeSoul)
	roundTrip(t, model(), modelfile.DecodeModel)
	plain := model()
	plain.Soul, plain.Template = nil, modelfile.Template{}
	data := roundTrip(t, plain, modelfile.DecodeModel)
	if !bytes.Contains(data, []byte(`"soul":null`)) {
		t.Errorf("a Model without a Soul does not say so: %s", data)
	}
}

// TestManifestNumbers has the numbers in manifests keep their float32 value.
func TestManifestNumbers(t *testing.T) {
	for _, v := range []float32{1e-6, 1e-5, 1e-7, 1.1754944e-38, 1e-45, 1, 0.1, 0.33333334, math.SmallestNonzeroFloat32} {
		g := genome()
		g.Config.RMSEps = v
		roundTrip(t, g, modelfile.DecodeGenome)
		s := sum()
		s.Sum[0].Weight = -v
		roundTrip(t, s, modelfile.DecodeSoul)
	}
	s := sum()
	s.Sum[0].Weight = math.MaxFloat32
	roundTrip(t, s, modelfile.DecodeSoul)
}

// TestManifestGolden pins the bytes, since CIDs hang on them.
func TestManifestGolden(t *testing.T) {
	data, c, err := genome().Encode()
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"arithmetic":1,"config":{"boundary":"f32","cell":"release","d_ff":6,"d_model":4,"dilations":[1,2],` +
		`"kernel_size":3,"layers_per_block":2,"max_positions":8,"n_layers":3,"rms_eps":0.000001,"state":"f32","vocab_size":256},` +
		`"kind":"zetagrid/genome","tiles":[{"/":"bafkreigks6arfsq3xxfpvqrrwonchxcnu6do76auprhhfomao6c273sixm"},` +
		`{"/":"bafybeib6epubmabzlffdhckpmvsodmjuro6xuaei2qwevs3t52xnlhaatu"}],"version":1}`
	if string(data) != want {
		t.Errorf("got  %s\nwant %s", data, want)
	}
	if kind, err := modelfile.ManifestKind(data); err != nil || kind != modelfile.KindGenome {
		t.Errorf("%q, %v", kind, err)
	}
	if again, err := modelfile.ManifestCID(data); err != nil || again != c {
		t.Errorf("%s, %v, want %s", again, err, c)
	}
}

// TestEncodeRefuses changes one field of a good manifest at a time.
func TestEncodeRefuses(t *testing.T) {
	v0, err := cid.Decode("QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKPbdG")
	if err != nil {
		t.Fatal(err)
	}
	long, err := cid.NewPrefixV1(cid.Raw, multihash.SHA2_512).Sum([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	nan := float32(math.NaN())
	for name, change := range map[string]func(g *modelfile.Genome, s *modelfile.Soul, u *modelfile.Soul, m *modelfile.Model){
		"genome kind":        func(g *modelfile.Genome, _, _ *modelfile.Soul, _ *modelfile.Model) { g.Kind = "" },
		"genome version":     func(g *modelfile.Genome, _, _ *modelfile.Soul, _ *modelfile.Model) { g.Version = 2 },
		"genome arithmetic":  func(g *modelfile.Genome, _, _ *modelfile.Soul, _ *modelfile.Model) { g.Arithmetic = 0 },
		"genome config":      func(g *modelfile.Genome, _, _ *modelfile.Soul, _ *modelfile.Model) { g.Config.DModel = 0 },
		"genome incomplete":  func(g *modelfile.Genome, _, _ *modelfile.Soul, _ *modelfile.Model) { g.Config.State = "" },
		"genome tiles":       func(g *modelfile.Genome, _, _ *modelfile.Soul, _ *modelfile.Model) { g.Tiles = g.Tiles[:1] },
		"genome no tile":     func(g *modelfile.Genome, _, _ *modelfile.Soul, _ *modelfile.Model) { g.Tiles[1] = cid.Undef },
		"genome tile v0":     func(g *modelfile.Genome, _, _ *modelfile.Soul, _ *modelfile.Model) { g.Tiles[1] = v0 },
		"genome tile sha512": func(g *modelfile.Genome, _, _ *modelfile.Soul, _ *modelfile.Model) { g.Tiles[1] = long },
		"genome tile JSON":   func(g *modelfile.Genome, _, _ *modelfile.Soul, _ *modelfile.Model) { g.Tiles[1] = manifestOf("x") },
		"soul kind":          func(_ *modelfile.Genome, s, _ *modelfile.Soul, _ *modelfile.Model) { s.Kind = modelfile.KindGenome },
		"soul version":       func(_ *modelfile.Genome, s, _ *modelfile.Soul, _ *modelfile.Model) { s.Version = 0 },
		"soul genome":        func(_ *modelfile.Genome, s, _ *modelfile.Soul, _ *modelfile.Model) { s.Genome = file("x") },
		"soul rank 0":        func(_ *modelfile.Genome, s, _ *modelfile.Soul, _ *modelfile.Model) { s.Rank = 0 },
		"soul rank past":     func(_ *modelfile.Genome, s, _ *modelfile.Soul, _ *modelfile.Model) { s.Rank = tcn.MaxRank + 1 },
		"soul slices":        func(_ *modelfile.Genome, s, _ *modelfile.Soul, _ *modelfile.Model) { s.Slices = nil },
		"soul slice":         func(_ *modelfile.Genome, s, _ *modelfile.Soul, _ *modelfile.Model) { s.Slices[0] = cid.Undef },
		"soul small":         func(_ *modelfile.Genome, s, _ *modelfile.Soul, _ *modelfile.Model) { s.Small[0] = cid.Undef },
		"soul ends":          func(_ *modelfile.Genome, s, _ *modelfile.Soul, _ *modelfile.Model) { s.Ends = &cid.Undef },
		"soul key":           func(_ *modelfile.Genome, s, _ *modelfile.Soul, _ *modelfile.Model) { s.Provenance["/"] = "x" },
		"soul empty key":     func(_ *modelfile.Genome, s, _ *modelfile.Soul, _ *modelfile.Model) { s.Provenance[""] = "x" },
		"soul bad text":      func(_ *modelfile.Genome, s, _ *modelfile.Soul, _ *modelfile.Model) { s.Provenance["x"] = "\xff" },
		"sum and slices":     func(_ *modelfile.Genome, _, u *modelfile.Soul, _ *modelfile.Model) { u.Slices = soul().Slices },
		"sum and rank":       func(_ *modelfile.Genome, _, u *modelfile.Soul, _ *modelfile.Model) { u.Rank = 1 },
		"sum link":           func(_ *modelfile.Genome, _, u *modelfile.Soul, _ *modelfile.Model) { u.Sum[0].Soul = file("x") },
		"sum weight 0":       func(_ *modelfile.Genome, _, u *modelfile.Soul, _ *modelfile.Model) { u.Sum[0].Weight = 0 },
		"sum weight NaN":     func(_ *modelfile.Genome, _, u *modelfile.Soul, _ *modelfile.Model) { u.Sum[0].Weight = nan },
		"model kind":         func(_ *modelfile.Genome, _, _ *modelfile.Soul, m *modelfile.Model) { m.Kind = "x" },
		"model version":      func(_ *modelfile.Genome, _, _ *modelfile.Soul, m *modelfile.Model) { m.Version = 0 },
		"model genome":       func(_ *modelfile.Genome, _, _ *modelfile.Soul, m *modelfile.Model) { m.Genome = cid.Undef },
		"model ends":         func(_ *modelfile.Genome, _, _ *modelfile.Soul, m *modelfile.Model) { m.Ends = cid.Undef },
		"model no small":     func(_ *modelfile.Genome, _, _ *modelfile.Soul, m *modelfile.Model) { m.Small = nil },
		"model small":        func(_ *modelfile.Genome, _, _ *modelfile.Soul, m *modelfile.Model) { m.Small[1] = v0 },
		"model soul":         func(_ *modelfile.Genome, _, _ *modelfile.Soul, m *modelfile.Model) { m.Soul = &m.Ends },
		"model tokenizer":    func(_ *modelfile.Genome, _, _ *modelfile.Soul, m *modelfile.Model) { m.Tokenizer.Name = "bpe" },
		"model hash":         func(_ *modelfile.Genome, _, _ *modelfile.Soul, m *modelfile.Model) { m.Tokenizer.Hash = "" },
		"template text":      func(_ *modelfile.Genome, _, _ *modelfile.Soul, m *modelfile.Model) { m.Template.User.Prefix = "\xff" },
		"template stop":      func(_ *modelfile.Genome, _, _ *modelfile.Soul, m *modelfile.Model) { m.Template.Stop = []string{""} },
	} {
		t.Run(name, func(t *testing.T) {
			g, s, u, m := genome(), soul(), sum(), model()
			change(&g, &s, &u, &m)
			_, _, err1 := g.Encode()
			_, _, err2 := s.Encode()
			_, _, err3 := u.Encode()
			_, _, err4 := m.Encode()
			if err := errors.Join(err1, err2, err3, err4); !errors.Is(err, modelfile.ErrManifest) {
				t.Errorf("%v, want ErrManifest", err)
			}
		})
	}
}

// TestDecodeRefuses spells good manifests in other ways.
func TestDecodeRefuses(t *testing.T) {
	data, _, err := genome().Encode()
	if err != nil {
		t.Fatal(err)
	}
	good := string(data)
	for name, text := range map[string]string{
		"empty":           "",
		"null":            "null",
		"list":            "[]",
		"empty object":    "{}",
		"space":           strings.Replace(good, ":", ": ", 1),
		"space after":     good + " ",
		"line feed":       good + "\n",
		"second value":    good + "{}",
		"order":           `{"version":1,` + strings.TrimSuffix(strings.TrimPrefix(good, "{"), `,"version":1}`) + "}",
		"unknown field":   strings.TrimSuffix(good, "}") + `,"z":1}`,
		"unknown inside":  strings.Replace(good, `"vocab_size":256`, `"vocab_size":256,"z":1`, 1),
		"repeated":        strings.TrimSuffix(good, "}") + `,"version":1}`,
		"case":            strings.Replace(good, `"version"`, `"Version"`, 1),
		"exponent":        strings.Replace(good, "0.000001", "1e-6", 1),
		"more digits":     strings.Replace(good, "0.000001", "0.0000010", 1),
		"rounds to it":    strings.Replace(good, "0.000001", "0.00000100000001", 1),
		"float for int":   strings.Replace(good, `"version":1`, `"version":1.0`, 1),
		"text for int":    strings.Replace(good, `"version":1`, `"version":"1"`, 1),
		"huge int":        strings.Replace(good, `"version":1`, `"version":99999999999999999999`, 1),
		"escape":          strings.Replace(good, "zetagrid/genome", `zetagrid\/genome`, 1),
		"escaped letter":  strings.Replace(good, "zetagrid/genome", `\u007aetagrid/genome`, 1),
		"missing field":   strings.Replace(good, `"arithmetic":1,`, "", 1),
		"null field":      strings.Replace(good, `"arithmetic":1`, `"arithmetic":null`, 1),
		"null tile":       strings.Replace(good, `{"/":"bafkreigks6arfsq3xxfpvqrrwonchxcnu6do76auprhhfomao6c273sixm"}`, "null", 1),
		"other base":      strings.Replace(good, "bafkreigks6arfsq3xxfpvqrrwonchxcnu6do76auprhhfomao6c273sixm", "BAFKREIGKS6ARFSQ3XXFPVQRRWONCHXCNU6DO76AUPRHHFOMAO6C273SIXM", 1),
		"link with more":  strings.Replace(good, `{"/":"bafk`, `{"a":1,"/":"bafk`, 1),
		"other kind":      strings.Replace(good, "zetagrid/genome", "zetagrid/soul", 1),
		"other version":   strings.Replace(good, `"version":1`, `"version":2`, 1),
		"bad config":      strings.Replace(good, `"d_model":4`, `"d_model":0`, 1),
		"config overflow": strings.Replace(good, `"d_model":4`, `"d_model":9223372036854775807`, 1),
		"deep":            strings.Repeat("[", 1<<19),
	} {
		t.Run(name, func(t *testing.T) {
			if text == good {
				t.Fatal("the change changed nothing")
			}
			if g, err := modelfile.DecodeGenome([]byte(text)); !errors.Is(err, modelfile.ErrManifest) {
				t.Errorf("%+v, %v, want ErrManifest", g, err)
			}
		})
	}
	for n := range data {
		if _, err := modelfile.DecodeGenome(data[:n]); !errors.Is(err, modelfile.ErrManifest) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
}

func TestFits(t *testing.T) {
	g := genome()
	_, c, err := g.Encode()
	if err != nil {
		t.Fatal(err)
	}
	m, s := model(), soul()
	m.Genome, s.Genome = c, c
	if err := errors.Join(m.Fits(g, c), s.Fits(g, c)); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"model of another": model().Fits(g, c),
		"soul of another":  soul().Fits(g, c),
		"model short":      func() error { m := m; m.Small = m.Small[:1]; return m.Fits(g, c) }(),
		"soul short":       func() error { s := s; s.Slices = s.Slices[:1]; return s.Fits(g, c) }(),
		"soul small short": func() error { s := s; s.Small = s.Small[:1]; return s.Fits(g, c) }(),
	} {
		if !errors.Is(err, modelfile.ErrManifest) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestManifestLimits(t *testing.T) {
	text := func(n int) string { return strings.Repeat("x", n) }
	entries := func(n int) map[string]string {
		p := map[string]string{}
		for i := range n {
			p[fmt.Sprint(i)] = ""
		}
		return p
	}
	for name, c := range map[string]struct {
		limit  int
		encode func(n int) error
	}{
		"sum members": {modelfile.SumMembers, func(n int) error {
			s := sum()
			s.Sum = make([]modelfile.Weighted, n)
			for i := range s.Sum {
				s.Sum[i] = modelfile.Weighted{Soul: manifestOf("s"), Weight: 1}
			}
			_, _, err := s.Encode()
			return err
		}},
		"rank": {tcn.MaxRank, func(n int) error {
			s := soul()
			s.Rank = n
			if _, _, err := s.Encode(); errors.Is(err, modelfile.ErrManifest) {
				return modelfile.ErrTooLarge // a rank past the limit is no Soul at all
			}
			return nil
		}},
		"provenance entries": {modelfile.ProvenanceEntries, func(n int) error {
			m := model()
			m.Provenance = entries(n)
			_, _, err := m.Encode()
			return err
		}},
		"provenance key": {modelfile.ProvenanceKeyBytes, func(n int) error {
			m := model()
			m.Provenance = map[string]string{text(n): ""}
			_, _, err := m.Encode()
			return err
		}},
		"provenance value": {modelfile.ProvenanceValueBytes, func(n int) error {
			m := model()
			m.Provenance = map[string]string{"x": text(n)}
			_, _, err := m.Encode()
			return err
		}},
		"template": {modelfile.TemplateBytes, func(n int) error {
			m := model()
			m.Template.System.Suffix = text(n)
			_, _, err := m.Encode()
			return err
		}},
		"stop": {modelfile.StopStrings, func(n int) error {
			m := model()
			m.Template.Stop = strings.Split(text(n), "")
			_, _, err := m.Encode()
			return err
		}},
		"manifest": {modelfile.ManifestBytes, func(n int) error {
			_, err := modelfile.DecodeModel([]byte(text(n)))
			if errors.Is(err, modelfile.ErrManifest) {
				return nil // small enough to be looked at
			}
			return err
		}},
		"kind": {modelfile.ManifestBytes, func(n int) error {
			_, err := modelfile.ManifestKind([]byte(text(n)))
			if errors.Is(err, modelfile.ErrManifest) {
				return nil
			}
			return err
		}},
	} {
		if err := c.encode(c.limit); err != nil {
			t.Errorf("%s at the limit: %v", name, err)
		}
		if err := c.encode(c.limit + 1); !errors.Is(err, modelfile.ErrTooLarge) {
			t.Errorf("%s past the limit: %v", name, err)
		}
	}
	// A Genome's tiles alone can be too many for a manifest.
	g := genome()
	g.Config.Layers, g.Config.LayersPerBlock = tcn.MaxLayers, 1
	g.Tiles = make([]modelfile.Link, tcn.MaxLayers)
	for i := range g.Tiles {
		g.Tiles[i] = file("t")
	}
	if _, _, err := g.Encode(); !errors.Is(err, modelfile.ErrTooLarge) {
		t.Error(err)
	}
}

func TestByteTokenizer(t *testing.T) {
	var all []byte
	for b := range 256 {
		all = append(all, byte(b))
	}
	digest := sha256.Sum256(all)
	if got := hex.EncodeToString(digest[:]); got != modelfile.ByteTokenizer.Hash {
		t.Errorf("hash %s, want %s", modelfile.ByteTokenizer.Hash, got)
	}
}

func TestTemplate(t *testing.T) {
	chat := []modelfile.Message{{Role: "system", Text: "Be brief."}, {Role: "user", Text: "Hi"}, {Role: "assistant", Text: "Yo"}, {Role: "user", Text: "?"}}
	for _, c := range []struct {
		template modelfile.Template
		want     string
	}{
		{modelfile.DefaultTemplate, "Be brief.\n\nUser: Hi\nAssistant: Yo\nUser: ?\nAssistant: "},
		{modelfile.Template{}, "Be brief.HiYo?"},
	} {
		if got, err := c.template.Prompt(chat); err != nil || got != c.want {
			t.Errorf("%q, %v, want %q", got, err, c.want)
		}
	}
	if _, err := modelfile.DefaultTemplate.Prompt([]modelfile.Message{{Role: "tool"}}); !errors.Is(err, modelfile.ErrManifest) {
		t.Error(err)
	}
}

// fuzzManifest checks that what decodes encodes to the same bytes.
func fuzzManifest[M interface {
	Encode() ([]byte, cid.Cid, error)
}](f *testing.F, seeds []M, decode func([]byte) (M, error)) {
	for _, m := range seeds {
		data, _, err := m.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := decode(data)
		if err != nil {
			if !errors.Is(err, modelfile.ErrManifest) && !errors.Is(err, modelfile.ErrTooLarge) {
				t.Fatalf("unnamed error %v", err)
			}
			return
		}
		again, _, err := m.Encode()
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%q encodes to %q, %v", data, again, err)
		}
	})
}

func FuzzDecodeGenome(f *testing.F) {
	fuzzManifest(f, []modelfile.Genome{genome()}, modelfile.DecodeGenome)
}

func FuzzDecodeSoul(f *testing.F) {
	fuzzManifest(f, []modelfile.Soul{soul(), sum()}, modelfile.DecodeSoul)
}

func FuzzDecodeModel(f *testing.F) {
	fuzzManifest(f, []modelfile.Model{model()}, modelfile.DecodeModel)
}

func ExampleGenome_Encode() {
	g := modelfile.NewGenome(tinyConfig, []modelfile.Link{file("tile 0"), file("tile 1")})
	data, c, err := g.Encode()
	if err != nil {
		panic(err)
	}
	again, err := modelfile.DecodeGenome(data)
	if err != nil {
		panic(err)
	}
	fmt.Println(c)
	fmt.Println(again.Config.Blocks(), "blocks of", again.Config.LayersPerBlock, "layers")
	// Output:
	// baguqeeraib4bcdqcwz6yoyp4cpadn43dyakl3j2df365ajrxwiqciikgqd5a
	// 2 blocks of 2 layers
}
