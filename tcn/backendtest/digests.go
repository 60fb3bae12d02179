package backendtest

// Digests are what [Digest] must return for each of [Cases], by name, in
// version 1 of the arithmetic. They may change only with that version.
var Digests = map[string]string{
	"paper-bf16-0souls-r[1 0.5 0]":     "b0b03424d0f0edb9ed31e5d69be94e4bec6fd2b58064e97b44db860848aa061e",
	"paper-bf16-0souls-r[1]":           "8a42560b0b78e8746806a53576ae6bd39a29724b006307ee5d08f36ac7b04a6c",
	"paper-bf16-2souls-r[0.5 1 1 0]":   "327007eb5730b5bccebdd3ee15ccfe831cccba77399cfccc1910d6c7efca38f2",
	"paper-f32-0souls-r[1 0.5 0]":      "a10c4de8aa33972ed840cf3a46a585d4f4e18383555abcc9339a5feb6b7e4155",
	"paper-f32-0souls-r[1]":            "32161509fd8ead522e7ace4bcef8f2de11c09e9b44782d0b48d27f67b563159c",
	"paper-f32-2souls-r[0.5 1 1 0]":    "8d5ef4a13c7ec1b3b822c25b633556f47e3bcfd7b556c0db0d6efee4962e9292",
	"release-bf16-0souls-r[1 0.5 0]":   "c1222c755f5b90893204503c6c23a384271e2cd2afe4a72fe50aba45e56a383d",
	"release-bf16-0souls-r[1]":         "a6e3c4d654d732a9783f8eb1ac26691904cf1a12996ab8d68adf84bb4cd1eabe",
	"release-bf16-2souls-r[0.5 1 1 0]": "510875d581abfd25129c92d2ff78dcbe8040ec80305330bafa66f44c8d56fac2",
	"release-f32-0souls-r[1 0.5 0]":    "135a0a3fc0329061f43ccf733e768376ee65f5ac61e2473cd90a147aac16ddf4",
	"release-f32-0souls-r[1]":          "7350d698b2cf763240a42a072e8a94923b33bcc0b714310147249820780b8e54",
	"release-f32-2souls-r[0.5 1 1 0]":  "da944dd8b029a3825c7c14c7454844dd9057cc1f30025bd01b1d625d4325c546",

	"paper-q2-bf16-1souls-r[1]-q8":           "a959b955f49ff0db3b755385971e000904cf89374c5a85579cf59bf439c303f3",
	"paper-q2-f32-2souls-r[1 0.5 0]":         "08d40d630b615dfc5a5a0bc5f54f47f5b8fe497a43852f00a2a6f95eadb68dfe",
	"release-q2-bf16-2souls-r[0.5 1 1 0]-q8": "cbd5940dbe1f668286884fb42491c13397e1e4588153cd706cdf2e49e37db556",
	"release-q2-f32-0souls-r[1]":             "f064474893250441459ab0841484cfe8675e32a64766d95ce9e03dc1af992f8b",
}
