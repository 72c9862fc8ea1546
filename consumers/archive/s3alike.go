package archive

import (
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// withEndpointOf is the location with the endpoint of the AWS configuration, unless it has one
// of its own: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, or endpoint_url in the shared
// configuration. The same rules hold for that endpoint.
func (l Location) withEndpointOf(cfg aws.Config, allowHTTP bool) (Location, error) {
	const from = "the endpoint that AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or endpoint_url in the shared configuration names"
	named := aws.ToString(s3.NewFromConfig(cfg).Options().BaseEndpoint)
	if l.Endpoint != "" || named == "" {
		return l, nil
	}
	if !l.set("endpoint", named) {
		return Location{}, fmt.Errorf("%s is none: write https:// and a host", from)
	}
	if err := l.inClear(allowHTTP); err != nil {
		return Location{}, fmt.Errorf("%s: %w", from, err)
	}
	return l, nil
}

// inClear returns an error for an http endpoint, unless that is allowed.
func (l Location) inClear(allowHTTP bool) error {
	if strings.HasPrefix(l.Endpoint, "http:") && !allowHTTP {
		return errors.New("the endpoint would get everything in clear: use https, or allow_private for local trials")
	}
	return nil
}

// speakPlainly restricts requests to features that every S3-like store has.
//
// The checksum is Content-MD5. Many stores refuse the newer ones, and a bucket that locks its
// objects refuses objects without a checksum. Accept-Encoding is not sent, because Google's
// front ends change that header, after which its signature is wrong.
func speakPlainly(o *s3.Options) {
	o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
	o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
		if _, err := stack.Finalize.Remove("DisableAcceptEncodingGzip"); err != nil {
			return err
		}
		switch stack.ID() {
		case "PutObject", "UploadPart":
			return smithyhttp.AddContentChecksumMiddleware(stack)
		}
		return nil
	})
}
