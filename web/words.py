"""What the page says, in English and Chinese."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

ENGLISH, CHINESE = "English", "中文"
TAGS = {ENGLISH: "en", CHINESE: "zh-CN"}  # of HTML

WORDS = {
    ENGLISH: {
        "title": "## Depth from one picture",
        "intro": (
            "Pictures go to the computer that serves this page and to no other; it removes "
            "them after an hour."
        ),
        "picture_tab": "Picture",
        "video_tab": "Video",
        "live_tab": "Live camera",
        "picture": "Picture",
        "slider": "Picture and depth",
        "colormap": "Colours",
        "model": "Model",
        "angle": "Camera's angle of view, degrees across",
        "view": "3D: drag to turn, wheel or pinch to come near",
        "examples": "Or one of these, all of them generated",
        "video": "Video",
        "video_depth": "Its depth",
        "side": "Beside the source",
        "start": "Predict",
        "camera": "Camera",
        "camera_depth": "Its depth",
        "near": "near",
        "far": "far",
        "relative": "relative depth, no unit",
        "inverse": "relative inverse depth",
        "metres": "metres",
        "point": "x {x}, y {y}: depth {depth}",
        "infinite": "beyond all measure",
        "distance": "{distance} between the last two points ({camera})",
        "no_distance": "the model has no unit: no distance in metres",
        "unreadable": "This picture cannot be used: {name}: {why}",
        "no_video": "This video cannot be used: {name}: {why}",
        "why_empty": "it is empty; choose it again, or another one",
        "why_no_picture": (
            "it is no picture, or of a kind that is not read here; save it as JPEG or PNG"
        ),
        "why_foreign": (
            "it is of a kind that is not read here, such as HEIC, JPEG XL, a raw picture or a "
            "video; save it as JPEG or PNG"
        ),
        "why_damaged": (
            "it is damaged, or was cut short; upload it again, or save it anew as JPEG or PNG"
        ),
        "why_too_large": (
            "it has too many pixels: at most {limit} million, and {side} on a side; make it smaller"
        ),
        "why_unclear": (
            "its numbers do not tell what is white: they are of 32 bits, fractions, or of 16 "
            "bits with little in them; save it with 8 bits"
        ),
        "why_missing": "it is no longer there; upload it again",
        "why_no_video": "it is no video, damaged, or of a kind that is not read; save it as MP4",
        "why_no_pictures": "it holds no moving pictures, only sound perhaps; choose another one",
        "why_no_frame": "no frame of it can be read; it is empty or damaged: choose another one",
        "too_large": (
            "This has {width} x {height} pixels; at most {limit} million are taken. Make it "
            "smaller."
        ),
        "too_long": "This video has {frames} frames; at most {limit} are taken. Cut it.",
        "short": (
            "Only {frames} of about {expected} frames could be read: the video was cut short, or "
            "is damaged."
        ),
        "too_slow": (
            "This took more than {limit} seconds and was stopped. Take a shorter video, or a "
            "smaller one."
        ),
        "no_memory": (
            "The computer that serves this page has not enough memory for this. Try a smaller "
            "one, or later."
        ),
        "no_room": (
            "The disk of the computer that serves this page is full. Try again later, or tell "
            "who runs it."
        ),
        "no_mesh": "There is nothing to show in 3D: the picture is too small, or all is far away.",
        "gone": "This result is no longer kept; predict the picture again.",
        "no_picture": "There is no picture yet.",
        "no_upload": "There is no such upload (any more); upload it again.",
        "no_point": "A point needs x and y as whole numbers, from 0 at the upper left.",
        "no_angle": "The angle of view must be a number of degrees, {low} to {high}.",
        "no_name": "{name} must be a name from its list.",
        "malformed": "This request is not what the function takes; see Use via API.",
        "broken": "This went wrong here; the log of the server says why.",
        "language": "Language",
        "hint": (
            "**Click** for the depth there; a second click also says how far apart the two "
            "are.\n\nKeys: arrows move, Enter marks; on the slider, arrows move it."
        ),
        "clear": "Remove marks",
        "keep_aspect": "Keep the shape: pad, do not squeeze",
        "squeezed": (
            "Pictures of another shape are squeezed into this model's {size}, and their depth "
            "suffers."
        ),
        "angle_seen": "as the picture says (EXIF)",
        "angle_assumed": "assumed: the picture does not say it",
        "view_button": "Show in 3D",
        "details": "Details",
        "detail_model": "Model",
        "detail_engine": "Engine",
        "detail_size": "Picture",
        "detail_time": "Time",
        "detail_unit": "Unit",
        "detail_seconds": "{seconds} s",
        "video_limits": (
            "At most {frames} frames, {megabytes} MB and {seconds} s of work. The result is "
            "WebM, which browsers play."
        ),
        "stop": "Stop",
        "stopped": "Stopped.",
        "rate": "{rate} frames per second",
        "live_hint": (
            "Allow the camera, then press Start. Frames that come while one is predicted "
            "are left out."
        ),
        "no_camera": (
            "The browser gives no camera. Allow it to this page, and see that there is one that "
            "no other program has."
        ),
        "no_paste": "There is no picture to paste. Copy one, and allow the page to see it.",
        "handle": "How much of the picture is shown",
        "unseen": "The browser cannot show this picture.",
        "depth_axis": "relative",
        "street": "Street",
        "avenue": "Avenue",
        "room": "Room",
        "hall": "Hall",
        "blocks": "Toy blocks",
        "apart": "{depth}; {distance} from {other}",
    },
    CHINESE: {
        "title": "## 单张图片的深度",
        "intro": "图片只会发送到提供本页面的计算机，不会发往别处；一小时后删除。",
        "picture_tab": "图片",
        "video_tab": "视频",
        "live_tab": "实时摄像头",
        "picture": "图片",
        "slider": "图片与深度",
        "colormap": "配色",
        "model": "模型",
        "angle": "相机水平视角（度）",
        "view": "三维：拖动旋转，滚轮或双指缩放",
        "examples": "或选用以下示例（均为生成的图片）",
        "video": "视频",
        "video_depth": "视频的深度",
        "side": "与原视频并排",
        "start": "预测",
        "camera": "摄像头",
        "camera_depth": "摄像头的深度",
        "near": "近",
        "far": "远",
        "relative": "相对深度，没有单位",
        "inverse": "相对逆深度",
        "metres": "米",
        "point": "x {x}，y {y}：深度 {depth}",
        "infinite": "无穷远",
        "distance": "最后两点相距 {distance}（{camera}）",
        "no_distance": "该模型没有单位，无法给出以米计的距离",
        "unreadable": "无法使用该图片：{name}：{why}。",
        "no_video": "无法使用该视频：{name}：{why}。",
        "why_empty": "文件是空的，请重新选择，或换一个文件",
        "why_no_picture": "它不是图片，或格式不受支持，请另存为 JPEG 或 PNG",
        "why_foreign": (
            "此处不支持该格式（如 HEIC、JPEG XL、相机原始格式或视频），请另存为 JPEG 或 PNG"
        ),
        "why_damaged": "文件已损坏或不完整，请重新上传，或重新保存为 JPEG 或 PNG",
        "why_too_large": "像素过多：总数最多 {limit} 百万，每边最多 {side}，请缩小图片",
        "why_unclear": (
            "无法确定其数值以多少为白色（32 位、小数，或 16 位但数值很小），请以 8 位保存"
        ),
        "why_missing": "文件已不存在，请重新上传",
        "why_no_video": "它不是视频、已损坏，或格式不受支持，请另存为 MP4",
        "why_no_pictures": "其中没有视频画面（可能只有声音），请换一个文件",
        "why_no_frame": "读不出任何一帧，文件是空的或已损坏，请换一个文件",
        "too_large": "有 {width} x {height} 像素，最多 {limit} 百万像素，请缩小后再试。",
        "too_long": "视频有 {frames} 帧，最多 {limit} 帧，请剪短后再试。",
        "short": "约 {expected} 帧中只读出 {frames} 帧：视频不完整或已损坏。",
        "too_slow": "处理超过 {limit} 秒，已停止。请换用更短或更小的视频。",
        "no_memory": "提供本页面的计算机内存不足。请换用较小的文件，或稍后再试。",
        "no_room": "提供本页面的计算机磁盘已满。请稍后再试，或告知其管理者。",
        "no_mesh": "没有可以三维显示的内容：图片太小，或一切都太远。",
        "gone": "该结果已不再保留，请重新预测图片。",
        "no_picture": "还没有图片。",
        "no_upload": "没有该上传文件（或已删除），请重新上传。",
        "no_point": "一个点需要整数 x 和 y，左上角为 0。",
        "no_angle": "视角必须是 {low} 到 {high} 之间的度数。",
        "no_name": "“{name}”必须是列表中的名称。",
        "malformed": "请求与该函数的参数不符；参见页脚的 API 说明。",
        "broken": "服务器出错，原因见服务器日志。",
        "language": "语言",
        "hint": (
            "**点击**查看该处的深度；再点一处可得两点的距离。\n\n"
            "键盘：方向键移动，回车标记；在滑块上，方向键移动滑块。"
        ),
        "clear": "清除标记",
        "keep_aspect": "保持长宽比：填充而不拉伸",
        "squeezed": "该模型只接受 {size}，长宽比不同的图片会被拉伸，深度因此变差。",
        "angle_seen": "来自图片的 EXIF",
        "angle_assumed": "假定值：图片中没有此信息",
        "view_button": "三维显示",
        "details": "详情",
        "detail_model": "模型",
        "detail_engine": "引擎",
        "detail_size": "图片",
        "detail_time": "用时",
        "detail_unit": "单位",
        "detail_seconds": "{seconds} 秒",
        "video_limits": (
            "最多 {frames} 帧、{megabytes} MB、处理 {seconds} 秒。结果为浏览器可播放的 WebM。"
        ),
        "stop": "停止",
        "stopped": "已停止。",
        "rate": "每秒 {rate} 帧",
        "live_hint": "允许使用摄像头，然后按“开始”。预测期间到来的帧会被略过。",
        "no_camera": "浏览器没有提供摄像头。请允许本页面使用，并确认有摄像头且未被其他程序占用。",
        "no_paste": "剪贴板中没有图片。请先复制一张，并允许本页面读取。",
        "handle": "显示多少原图",
        "unseen": "浏览器无法显示此图片。",
        "depth_axis": "相对值",
        "street": "街道",
        "avenue": "大街",
        "room": "房间",
        "hall": "大厅",
        "blocks": "积木",
        "apart": "{depth}；与点 {other} 相距 {distance}",
    },
}


# What Gradio's components say by themselves, as regular expressions (of its Chinese, too, where it
# has any), and what the page says for it in English and Chinese.
GRADIO = (
    (
        "Drop an image file here to upload|将图像文件拖放到此处以上传",
        "Upload a picture",
        "上传图片",
    ),
    ("Drop a video file here to upload|将视频文件拖放到此处以上传", "Upload a video", "上传视频"),
    ("Drop Image Here|将图像拖放到此处", "Drop a picture here", "将图片拖到此处"),
    ("Drop Video Here|将视频拖放到此处", "Drop a video here", "将视频拖到此处"),
    ("- (?:or|或) -", "- or -", "- 或 -"),
    ("Click to Upload|点击上传", "Click to upload", "点击上传"),
    ("Paste from [Cc]lipboard|从剪贴板粘贴", "Paste from the clipboard", "从剪贴板粘贴"),
    ("Upload file", "Upload a file", "上传文件"),
    ("Capture from camera", "Take a picture with the camera", "用摄像头拍照"),
    ("Click to Access Webcam", "Click to use the camera", "点击使用摄像头"),
    ("grant webcam access", "Allow the camera", "允许使用摄像头"),
    (
        r"image\.no_webcam_support",
        "The browser gives its camera only to pages of https:// or of this computer itself.",
        "浏览器只允许 https:// 页面或本机页面使用摄像头。",
    ),
    ("capture photo", "Take the picture", "拍照"),
    ("start recording|Record|录制", "Start", "开始"),
    ("stop recording|Stop|停止", "Stop", "停止"),
    ("Waiting|等待中", "Waiting", "等待中"),
    ("select input source|select source|Select input device", "Choose a camera", "选择摄像头"),
    ("spinner", "At work", "处理中"),
    ("Fullscreen|full-screen", "Full screen", "全屏"),
    ("Exit fullscreen mode", "Leave full screen", "退出全屏"),
    ("Remove Image|移除图像", "Remove the picture", "移除图片"),
    ("Undo|undo|撤销", "Back to the first view", "恢复最初视图"),
    ("Clear|清除", "Remove", "移除"),
    ("Close|关闭", "Close", "关闭"),
    ("Download|下载", "Download", "下载"),
    ("Reset to default value", "Back to the first value", "恢复初始值"),
    ("(?:number input|range slider) for (.+)", "$1", "$1"),
    (
        "Video not playable",
        "The browser cannot play this video; try to predict it all the same.",
        "浏览器无法播放该视频，但仍可尝试预测。",
    ),
    ("play-pause-replay-button", "Play or pause", "播放或暂停"),
    ("Adjust volume", "Volume", "音量"),
    ("Trim video to selection", "Cut the video", "剪辑视频"),
    ("Reset video to initial value", "The whole video again", "恢复整个视频"),
    ("start drag handle for trimming video", "Start of the cut", "剪辑起点"),
    ("end drag handle for trimming video", "End of the cut", "剪辑终点"),
    ("duration of selected region in seconds", "Seconds that are left", "剩余秒数"),
    ("Trim", "Cut", "剪辑"),
    ("Cancel", "Cancel", "取消"),
    ("Use via API|通过 API 使用", "Use via API", "通过 API 使用"),
    (r"Uploading (?:\d+\s+files?)?\.*|正在上传\.*", "Uploading ...", "正在上传……"),
    (r"processing \|", "at work |", "处理中 |"),
    (r"(?:frame|steps) \|", "frames |", "帧 |"),
    (r"(?:colours: )?(.*\d) (?:frame|steps)", "$1 frames", "$1 帧"),
    ("colours", "colours", "配色"),
    (r"queue: (\d+)/(\d*) \|", "waiting, $1 of $2 |", "排队中，第 $1 位，共 $2 位 |"),
    ("Error|错误", "This did not work", "未能完成"),
    ("Warning|警告", "Please note", "请注意"),
    (
        r"File\(s\) exceed the maximum allowed size of (\S+) Mb: (.*)",
        "$2 is larger than $1 MB.",
        "$2 超过 $1 MB。",
    ),
    (
        r"Invalid file types?: (.*?)\. Only .* allowed\.",
        "$1: its name does not end as those of such files do, like .jpg or .mp4.",
        "$1：文件扩展名不符，应类似 .jpg 或 .mp4。",
    ),
    (
        r"Connection to the server was lost\. Attempting reconnection\.\.\.",
        "The server does not answer. The page tries again until it does.",
        "服务器没有响应，页面会不断重试。",
    ),
    (
        r"Connection errored out\..*",
        "The server did not answer; try again.",
        "服务器没有响应，请重试。",
    ),
    # Refusals before the queue, which Gradio shows as they come.
    (r".*this came too slowly.*", "This came too slowly; try again.", "传输太慢，请重试。"),
    (
        r".*exceeds the maximum allowed size of (\d+) megabytes.*",
        "This is larger than $1 MB.",
        "文件超过 $1 MB。",
    ),
    (
        r".*this names a file that was not uploaded here.*",
        "There is no such upload (any more); upload it again.",
        "没有该上传文件（或已删除），请重新上传。",
    ),
    (
        r".*too many are sending at once.*",
        "Too many are sending at once; try again soon.",
        "同时上传的人太多，请稍后再试。",
    ),
    (
        r"HTTP \d+: .*",
        "The server could not take this; try again.",
        "服务器未能接收，请重试。",
    ),
    ("Queue is full.*", "Too many are waiting; try again soon.", "排队的人太多，请稍后再试。"),
    (
        r"This application is currently busy\..*",
        "The page is busy; try again.",
        "服务器忙，请重试。",
    ),
)


@dataclass(frozen=True)
class Sentence:
    """Something that can be said in each language.

    Attributes:
        key: of :data:`WORDS`.
        values: that are put into it; sentences among them are said in the same language.
    """

    key: str
    values: Mapping[str, object] = field(default_factory=dict)

    def said(self, language: object) -> str:
        """It in a language, English for one that is not there, whatever it is."""
        known = isinstance(language, str) and language in WORDS
        values = {
            name: value.said(language) if isinstance(value, Sentence) else value
            for name, value in self.values.items()
        }
        return WORDS[language if known else ENGLISH][self.key].format(**values)


def say(language: object, key: str, **values: object) -> str:
    """A :class:`Sentence` in a language."""
    return Sentence(key, values).said(language)
