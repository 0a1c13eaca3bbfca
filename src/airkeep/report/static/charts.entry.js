// What of ECharts the report uses: `make charts` bundles it into echarts.js.
import { init, use } from "echarts/core";
import { BarChart, HeatmapChart, LineChart } from "echarts/charts";
import {
  AriaComponent, GridComponent, LegendComponent, MarkLineComponent, TooltipComponent,
  VisualMapComponent,
} from "echarts/components";
import { SVGRenderer } from "echarts/renderers";

use([
  AriaComponent, BarChart, GridComponent, HeatmapChart, LegendComponent, LineChart,
  MarkLineComponent, SVGRenderer, TooltipComponent, VisualMapComponent,
]);
export { init };
