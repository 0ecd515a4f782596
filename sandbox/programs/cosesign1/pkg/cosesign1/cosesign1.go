// Package cosesign1 stands in for the release v1.7.0, which no module proxy gives and which hcsshim v0.15.0 names.
// The engine needs it for signed fragments only. Every check here fails, so no fragment is ever let in.
package cosesign1

import (
	"crypto"
	"errors"
)

// COSE_Header_CWTClaims is the label of a token's claims in a protected header (RFC 9597).
const COSE_Header_CWTClaims = int64(15)

var errUnavailable = errors.New("this guest cannot check signed fragments")

// ParsedCOSEReceipt is a receipt of a transparency service.
type ParsedCOSEReceipt struct{ Issuer, Kid string }

// Validate refuses.
func (ParsedCOSEReceipt) Validate(map[string]crypto.PublicKey) error { return errUnavailable }

// UnpackedCoseSign1 is a signed document; none is ever made.
type UnpackedCoseSign1 struct {
	Issuer, Feed, ContentType, ChainPem string
	Payload                             []byte
	Receipts                            []ParsedCOSEReceipt
	Protected                           map[any]any
}

// UnpackAndValidateCOSE1CertChain refuses.
func UnpackAndValidateCOSE1CertChain([]byte) (*UnpackedCoseSign1, error) { return nil, errUnavailable }

// ParseTTLPayload refuses.
func ParseTTLPayload([]byte) (map[string]map[string]crypto.PublicKey, error) {
	return nil, errUnavailable
}
