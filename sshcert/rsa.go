package sshcert

import (
	"fmt"
	"math/big"

	"golang.org/x/crypto/ssh"
)

// Bounds of an RSA subject key, in bits of the modulus. The upper one bounds
// what a signature costs whoever checks it.
const (
	MinRSABits = 3072
	MaxRSABits = 8192
)

const (
	minExponent  = 65537
	maxExponent  = 1<<24 - 1
	smallPrimes  = 1000 // no prime below divides a modulus
	rocaPrimes   = 167  // the primes that give away keys of CVE-2017-15361
	fermatRounds = 100
)

// checkRSAWire holds an RSA key's wire form (RFC 4253 §6.6) to the bounds and to
// the tests for keys that can be factored.
func checkRSAWire(wire []byte) error {
	var w struct {
		Name string
		E, N *big.Int
	}
	if err := ssh.Unmarshal(wire, &w); err != nil || w.N.Sign() <= 0 {
		return unreadable()
	}
	const again = "ssh-keygen -t rsa -b 3072, or better ssh-keygen -t ed25519"
	switch bits := w.N.BitLen(); {
	case bits < MinRSABits:
		return fmt.Errorf("%w: an RSA key of %d bits, at least %d; %s", ErrKeyPolicy, bits, MinRSABits, again)
	case bits > MaxRSABits:
		return fmt.Errorf("%w: an RSA key of %d bits, at most %d; %s", ErrKeyPolicy, bits, MaxRSABits, again)
	case w.E.Cmp(big.NewInt(minExponent)) < 0 || w.E.Cmp(big.NewInt(maxExponent)) > 0 || w.E.Bit(0) == 0:
		return fmt.Errorf("%w: an RSA key with the public exponent %.20s, which has to be odd and from %d to %d; %s", ErrKeyPolicy, w.E.String(), minExponent, maxExponent, again)
	case hasSmallFactor(w.N), isROCA(w.N), hasCloseFactors(w.N):
		return fmt.Errorf("%w: an RSA key whose secret can be worked out from its public half; make another: %s", ErrKeyPolicy, again)
	}
	return nil
}

// oddPrimes returns the odd primes up to n.
func oddPrimes(n int) []int {
	var out []int
next:
	for p := 3; p <= n; p += 2 {
		for _, q := range out {
			if p%q == 0 {
				continue next
			}
		}
		out = append(out, p)
	}
	return out
}

// hasSmallFactor reports whether 2 or another prime below smallPrimes divides n.
func hasSmallFactor(n *big.Int) bool {
	if n.Bit(0) == 0 {
		return true
	}
	product := big.NewInt(1)
	for _, p := range oddPrimes(smallPrimes) {
		product.Mul(product, big.NewInt(int64(p)))
	}
	return new(big.Int).GCD(nil, nil, n, product).Cmp(big.NewInt(1)) != 0
}

// isROCA reports whether n looks like a modulus of the smart cards and tokens of
// CVE-2017-15361: modulo each small prime it is a power of 65537. One in about
// 2^28 other keys looks so, too.
func isROCA(n *big.Int) bool {
	rest := new(big.Int)
	for _, p := range oddPrimes(rocaPrimes) {
		want := int(rest.Mod(n, big.NewInt(int64(p))).Int64())
		power, found := 1, false
		for range p {
			found = found || power == want
			power = power * minExponent % p
		}
		if !found {
			return false
		}
	}
	return true
}

// hasCloseFactors reports whether Fermat's method factors n within fermatRounds:
// n = a*a - b*b for one of the smallest a that there can be (CVE-2022-26320).
func hasCloseFactors(n *big.Int) bool {
	a := new(big.Int).Sqrt(n)
	square, root := new(big.Int), new(big.Int)
	if square.Mul(a, a).Cmp(n) == 0 {
		return true
	}
	for range fermatRounds {
		a.Add(a, big.NewInt(1))
		square.Sub(square.Mul(a, a), n)
		if !maybeSquare(square) {
			continue
		}
		root.Sqrt(square)
		if root.Mul(root, root).Cmp(square) == 0 {
			return true
		}
	}
	return false
}

// maybeSquare is false for most numbers that are no square: a square is 0, 1, 4,
// 9, 16 or … modulo 64.
func maybeSquare(n *big.Int) bool {
	low := new(big.Int).And(n, big.NewInt(63)).Int64()
	for i := range int64(32) {
		if i*i&63 == low {
			return true
		}
	}
	return false
}
