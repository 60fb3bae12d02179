package backendtest

// Digests are what [Digest] must return for each of [Cases], by name, in
// version 1 of the arithmetic. They may change only with that version.
var Digests = map[string]string{
	"release-f32-0souls-r[1]":          "7350d698b2cf763240a42a072e8a94923b33bcc0b714310147249820780b8e54",
	"release-f32-2souls-r[1]":          "1d98f6b606e8ea6ae22284be6e81450829c5419a199be578f47f7ce7bd3777cb",
	"release-f32-0souls-r[1 0.5 0]":    "c549286d6a94f0920a2d9d2d8bf3e7b13807473f4d93e4f36d60ce8709de961d",
	"release-f32-2souls-r[0.5 1 1 0]":  "6b88cbb9ec3bd27692c14a0cc7f53b153a5ae38fb7f70cde0f7813a512bb21d2",
	"release-bf16-0souls-r[1]":         "c80e7772f3a1d25b08c9213250a167313db3c81be59478a07fac2bf661696173",
	"release-bf16-2souls-r[1]":         "746f50baf0075af891dbbf12c42050f99beeace97f5e3ad65832d0ef7deaca1c",
	"release-bf16-0souls-r[1 0.5 0]":   "b02261302946b57d5723a32051b1833dbb1598668c70e5123f77bea45158c90d",
	"release-bf16-2souls-r[0.5 1 1 0]": "4705de339ca59ec42d764532cb86a7024e4a4ed94ebfdff39c55b08b356a3047",
	"paper-f32-0souls-r[1]":            "1c81f68afd4b81fdcc9eeb7427545a6a3dc6b8559986e2841b4f93f97f0002a0",
	"paper-f32-2souls-r[1]":            "b7db9b398d3f480cfae754d05062d85e27acf4c2d9d7f1f4bb98cac09cf018cb",
	"paper-f32-0souls-r[1 0.5 0]":      "944bedf22f3927ff9fa168e8597c9d611b9123f97341ebd04b6f0c2a8c9118ab",
	"paper-f32-2souls-r[0.5 1 1 0]":    "1db5462103f65ed0ce338f363bde2b2ed1b2372b1024209b5e3f8973f71d3008",
	"paper-bf16-0souls-r[1]":           "ab2e8f810a495a209311a7053e17aaab1d9fb743022231d5db5d72c9a62f9066",
	"paper-bf16-2souls-r[1]":           "9633aca92ec93de110b7c3d9747ac20cfeb71e854f86938a782d8e9fd36ed41a",
	"paper-bf16-0souls-r[1 0.5 0]":     "d0c7cc9f77cba1b3b0ccfafa247b92c5597bd537aa033a7ff61a22ebf5e0b521",
	"paper-bf16-2souls-r[0.5 1 1 0]":   "23827ffb5c588f288b586bdafa38e29457dddac4f5a54d3289f57d9e9c91492e",
}
