package console

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"

	"golang.org/x/image/draw"
	"golang.org/x/image/webp"
)

const (
	// thumbSide is the longer side of a thumbnail, in pixels.
	thumbSide = 320
	// maxPixels bounds the picture that a thumbnail is made of.
	maxPixels = 50_000_000
	// maxPicture bounds the file of that picture, in bytes.
	maxPicture = 64 << 20
	// maxPictureHead bounds what stands in a picture before its size, in bytes.
	maxPictureHead = 1 << 20
	// pictureMemory bounds what all pictures take while they are decoded, in bytes.
	pictureMemory = 256 << 20
	// thumbQuality is that of a thumbnail's JPEG.
	thumbQuality = 80
)

// decoder reads one format of pictures.
type decoder struct {
	config func(io.Reader) (image.Config, error)
	decode func(io.Reader) (image.Image, error)
	// pixel returns how many bytes the decoder takes for a pixel, at most, by what it has read.
	pixel func(c image.Config, head []byte) float64
}

// decoders are the formats that thumbnails are made of, by content type.
var decoders = map[string]decoder{
	"image/png":  {png.DecodeConfig, png.Decode, pngPixel},
	"image/jpeg": {jpeg.DecodeConfig, jpeg.Decode, func(_ image.Config, head []byte) float64 { return jpegPixel(head) }},
	"image/gif":  {gif.DecodeConfig, gif.Decode, func(image.Config, []byte) float64 { return 2 }},
	"image/webp": {webp.DecodeConfig, webp.Decode, func(image.Config, []byte) float64 { return 12 }},
}

var (
	errNoPicture    = errors.New("no picture that can be decoded")
	errLargePicture = errors.New("the picture is too large for a thumbnail")
)

// picture is a file whose header was read.
type picture struct {
	decode func(io.Reader) (image.Image, error)
	in     io.Reader
	// memory is how many bytes decoding takes, at most.
	memory int64
}

// readPicture reads the header of a picture. Nothing is decoded before the picture's size is
// known to be small enough.
func readPicture(contentType string, in io.Reader) (p picture, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errNoPicture, r)
		}
	}()
	d, ok := decoders[contentType]
	if !ok {
		return p, errNoPicture
	}
	var head bytes.Buffer
	c, err := d.config(io.TeeReader(io.LimitReader(in, maxPictureHead), &head))
	if err != nil {
		return p, fmt.Errorf("%w: %w", errNoPicture, err)
	}
	if c.Width <= 0 || c.Height <= 0 {
		return p, errNoPicture
	}
	if c.Width > maxPixels/c.Height {
		return p, errLargePicture
	}
	memory := int64(float64(c.Width*c.Height) * d.pixel(c, head.Bytes()))
	if memory > pictureMemory {
		return p, errLargePicture
	}
	return picture{d.decode, io.MultiReader(&head, in), memory}, nil
}

// thumbnail decodes the picture and returns a small one, with its content type. The error wraps
// errNoPicture.
func (p picture) thumbnail() (small []byte, contentType string, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errNoPicture, r)
		}
	}()
	img, err := p.decode(p.in)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", errNoPicture, err)
	}
	scaled := shrink(img)
	var out bytes.Buffer
	if scaled.Opaque() {
		err = jpeg.Encode(&out, scaled, &jpeg.Options{Quality: thumbQuality})
		contentType = "image/jpeg"
	} else {
		err = png.Encode(&out, scaled)
		contentType = "image/png"
	}
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", errNoPicture, err)
	}
	return out.Bytes(), contentType, nil
}

// shrink makes a picture at most thumbSide long. Four pixels of a side are enough to make one of,
// and more would take memory by the shape of the picture.
func shrink(img image.Image) *image.RGBA {
	if b := img.Bounds(); max(b.Dx(), b.Dy()) > 4*thumbSide {
		img = scaled(img, draw.NearestNeighbor, 4*thumbSide)
	}
	return scaled(img, draw.BiLinear, thumbSide)
}

func scaled(img image.Image, how draw.Scaler, side int) *image.RGBA {
	b := img.Bounds()
	w, h := b.Dx(), b.Dy()
	if longer := max(w, h); longer > side {
		w, h = max(1, w*side/longer), max(1, h*side/longer)
	}
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	how.Scale(out, out.Bounds(), img, b, draw.Src, nil)
	return out
}

// pngPixel takes an interlaced picture for half as much again, which its last pass takes.
func pngPixel(c image.Config, head []byte) float64 {
	const interlace = 28 // where the header says it
	bytes := 4.0
	switch c.ColorModel {
	case color.RGBA64Model, color.NRGBA64Model:
		bytes = 8
	case color.GrayModel:
		bytes = 1
	case color.Gray16Model:
		bytes = 2
	default:
		if _, palette := c.ColorModel.(color.Palette); palette {
			bytes = 1
		}
	}
	if len(head) > interlace && head[interlace] != 0 {
		bytes *= 1.5
	}
	return bytes
}

// jpegPixel looks for the frame header. A progressive picture is kept as coefficients until all
// of them have come, at four bytes each.
func jpegPixel(head []byte) float64 {
	const worst = 20 // four components of a progressive picture
	for at := 2; at+4 <= len(head); {
		if head[at] != 0xff {
			return worst
		}
		marker := head[at+1]
		if marker == 0xff || marker == 0 || marker >= 0xd0 && marker <= 0xd8 { // without a length
			at++
			if marker != 0xff {
				at++
			}
			continue
		}
		length := int(head[at+2])<<8 | int(head[at+3])
		if marker >= 0xc0 && marker <= 0xc2 {
			return framePixel(head[at+4:min(at+2+length, len(head))], marker == 0xc2)
		}
		at += 2 + length
	}
	return worst
}

// framePixel returns the bytes for a pixel by the sampling factors of a frame header.
func framePixel(frame []byte, progressive bool) float64 {
	const before, each = 6, 3 // bytes before the components, and of one
	var factors [][2]float64
	var h, v, samples float64
	for at := before; at+each <= len(frame); at += each {
		f := [2]float64{float64(frame[at+1] >> 4), float64(frame[at+1] & 0xf)}
		h, v, factors = max(h, f[0]), max(v, f[1]), append(factors, f)
	}
	for _, f := range factors {
		samples += f[0] * f[1] / max(1, h*v)
	}
	if progressive {
		samples *= 5
	}
	if len(factors) == 4 {
		samples += 4 // it is made anew in other colours
	}
	return max(1, samples)
}
