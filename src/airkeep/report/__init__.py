"""One page that shows a lake: marts become figures, figures become one HTML file."""
